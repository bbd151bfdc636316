import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { ConfigError } from '../errors.ts'
import { defineJob, handle, type Job, requireJob } from './job.ts'

test('a job is complete and frozen', () => {
  const job = defineJob({ type: 'invoice.send' })
  assert.deepEqual(job, {
    type: 'invoice.send',
    queue: 'default',
    schema: undefined,
    timeoutMs: 300_000,
    retry: { attempts: 8, backoff: 'exponential', delayMs: 2_000, maxDelayMs: 600_000, jitter: 0.3 },
    keepCompletedMs: 3_600_000,
    onDead: 'skip',
  })
  assert.ok(Object.isFrozen(job))
})

test('what is given overrides the defaults, 0 included', () => {
  const payload = z.object({ orderId: z.string() })
  const job = defineJob({
    type: 'shop/invoice:send-2',
    payload,
    queue: 'critical',
    timeout: 0,
    retry: { attempts: 1 },
    keep: { completed: 0 },
    onDead: 'block',
  })
  assert.equal(job.schema, payload)
  const { queue, timeoutMs, retry, keepCompletedMs, onDead } = job
  assert.deepEqual([queue, timeoutMs, retry.attempts, keepCompletedMs, onDead], ['critical', 0, 1, 0, 'block'])
})

const REFUSED: [Record<string, unknown>, RegExp][] = [
  [{ type: '' }, /type is 1 to 100/],
  [{ type: 'a b' }, /type is 1 to 100/],
  [{ type: 'ä' }, /type is 1 to 100/],
  [{ type: 'a\n' }, /type is 1 to 100/],
  [{ type: 'x'.repeat(101) }, /type is 1 to 100/],
  [{ type: undefined }, /type is 1 to 100/],
  [{ queue: 'a.b' }, /queue name/],
  [{ timeout: 'soon' }, /timeout of job a must be a duration/],
  [{ keep: { completed: -1 } }, /keep\.completed of job a must be a duration/],
  [{ retry: { attempts: 0 } }, /retry of job a: attempts/],
  [{ timeOut: 5 }, /unknown option timeOut\. Known are type,/],
  [{ queue: null }, /queue name.*found null/],
  [{ queue: ['long'] }, /queue name.*found a list/],
  [{ retry: 5 }, /retry of job a must be an object; found 5/],
  [{ keep: '1h' }, /keep of job a must be an object; found "1h"/],
  [{ keep: { complete: '1h' } }, /keep of job a has an unknown option complete/],
  [{ onDead: 'stop' }, /onDead of job a must be 'skip' or 'block'; found "stop"/],
  [{ payload: { type: 'object' } }, /payload of job a must be a Standard Schema.*found an object/],
]

for (const [options, message] of REFUSED) {
  test(`refuses ${JSON.stringify(options)}`, () => {
    assert.throws(() => defineJob({ type: 'a', ...options }), { name: /Error$/, message })
  })
}

test('a handler is bound to its contract', () => {
  const job = defineJob({ type: 'a', payload: z.string().transform(Number) })
  const run = ({ payload }: { payload: number }) => payload + 1
  const handler = handle(job, run)
  assert.equal(handler.job, job)
  assert.equal(handler.run, run)
})

test('what is no object at all is refused', () => {
  assert.throws(() => defineJob(undefined as never), { name: ConfigError.name, message: /found undefined/ })
})

const job = defineJob({ type: 'a' })
const NO_JOBS: [unknown, RegExp][] = [
  [undefined, /enqueue takes a job made by defineJob.*found undefined$/],
  [null, /found null$/],
  ['a', /found "a"$/],
  [{ type: 'a' }, /found an object with type "a"$/],
  [{ ...job, type: 'a b' }, /found an object with type "a b"$/],
  [{ ...job, queue: undefined }, /found an object with type "a"$/],
  [{ ...job, schema: {} }, /found an object with type "a"$/],
  [{ ...job, retry: null }, /found an object with type "a"$/],
]

for (const [found, message] of NO_JOBS) {
  test(`refuses ${JSON.stringify(found)} as a job`, () => {
    assert.throws(() => requireJob(found as Job<never>, 'enqueue'), { name: ConfigError.name, message })
    assert.throws(() => handle(found as Job, () => {}), { name: ConfigError.name, message: /^handle takes a job/ })
  })
}

test('a copy of a job with something changed is a job', () => {
  requireJob({ ...job, queue: 'long' } as Job<never>, 'enqueue')
  assert.throws(() => requireJob({ ...job, queue: 'a.b' } as Job<never>, 'enqueue'), { message: /queue name/ })
})

test('refuses a handler without a function', () => {
  assert.throws(() => handle(job, 'run' as never), {
    name: ConfigError.name,
    message: /run must be a function; found "run"/,
  })
})
