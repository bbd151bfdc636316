import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { StandardSchemaV1 } from '@standard-schema/spec'
import { z } from 'zod'
import { defineJob, handle, PayloadError } from '../../src/index.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { KEEP_ORDER, openBench } from '../support/workbench.ts'

let redis: RedisServer
before(async () => {
  redis = await startRedis()
})
after(() => redis.stop())

test('the input is stored, and the handler gets the output', async () => {
  await using bench = openBench(redis)
  const schema = z.object({
    at: z.coerce.date(),
    tags: z.string().transform((text) => text.split(',')),
    n: z.number().default(7),
  })
  const job = defineJob({ type: 'transformed', payload: schema })
  const seen: z.output<typeof schema>[] = []
  const at = new Date('2026-01-02T03:04:05.678Z')
  const { id } = await bench.moca.queue.enqueue(job, { at: at.toISOString(), tags: 'a,b' })
  assert.deepEqual((await bench.moca.queue.inspect(id))?.payload, { at: at.toISOString(), tags: 'a,b' })
  await bench.startWorker({ handlers: [handle(job, ({ payload }) => void seen.push(payload))] })
  await bench.settled(1, 'completed')
  assert.deepEqual(seen, [{ at, tags: ['a', 'b'], n: 7 }])
})

test('a transform that cannot be applied twice is applied once for each attempt', async () => {
  await using bench = openBench(redis)
  const job = defineJob({
    type: 'increment',
    payload: z.number().transform((n) => n + 1),
    retry: { attempts: 3, delay: 0 },
  })
  const seen: number[] = []
  const handler = handle(job, ({ payload, attempt }) => {
    seen.push(payload)
    if (attempt < 3) throw new Error('again')
  })
  await bench.startWorker({ handlers: [handler] })
  await bench.moca.queue.enqueue(job, 1)
  await bench.settled(1, 'completed')
  assert.deepEqual(seen, [2, 2, 2])
})

test('a Date that passes as an object and fails as a text is refused where it was made', async () => {
  await using bench = openBench(redis)
  const job = defineJob({ type: 'dated', payload: z.object({ at: z.date() }) })
  await assert.rejects(bench.moca.queue.enqueue(job, { at: new Date() }), (error: PayloadError) => {
    assert.ok(error instanceof PayloadError)
    assert.match(error.message, /payload of dated does not fit its schema: at: .*date/)
    return true
  })
})

test('an asynchronous schema is waited for on both sides', async () => {
  await using bench = openBench(redis)
  const schema = z.string().refine(async (text) => text.startsWith('ok'), 'must begin with ok')
  const job = defineJob({ type: 'async', payload: schema })
  await assert.rejects(bench.moca.queue.enqueue(job, 'no'), /must begin with ok/)
  const results = await bench.moca.queue.enqueueMany(job, [{ payload: 'ok 1' }, { payload: 'ok 2' }])
  assert.equal(results.length, 2)
  const seen: string[] = []
  await bench.startWorker({ handlers: [handle(job, ({ payload }) => void seen.push(payload))], ...KEEP_ORDER })
  await bench.settled(2, 'completed')
  assert.deepEqual(seen, ['ok 1', 'ok 2'])
})

// The producer is another release than the worker, or another program.
const loose = defineJob({ type: 'strict', retry: { attempts: 5, delay: 0 } })
const strict = defineJob({
  type: 'strict',
  payload: z.object({ id: z.string().max(3) }),
  retry: { attempts: 5, delay: 0 },
})

test('a payload that its worker refuses is a dead letter, and is not retried', async () => {
  await using bench = openBench(redis)
  const { id } = await bench.moca.queue.enqueue(loose, { id: 'too long, and a secret' })
  await bench.moca.queue.enqueue(loose, { id: 'ok' })
  let runs = 0
  const handler = handle(strict, () => {
    runs++
  })
  await bench.startWorker({ handlers: [handler] })
  await bench.settled(2)
  const view = await bench.moca.queue.inspect(id)
  assert.deepEqual([view?.status, view?.reason, view?.errors.length, runs], ['dead', 'invalid payload', 1, 1])
  assert.match(view?.errors[0]?.message ?? '', /id: /)
  assert.doesNotMatch(view?.errors[0]?.message ?? '', /secret/)
})

/** A schema that asks a server, which answers from the third call on. */
function askingSchema(isAsync: boolean): StandardSchemaV1<unknown, string> {
  let calls = 0
  const ask = (value: unknown): StandardSchemaV1.Result<string> => {
    if (++calls < 3) throw new Error(`the server is away (${calls})`)
    return value === 'unwanted' ? { issues: [{ message: 'not wanted' }] } : { value: `checked ${value}` }
  }
  return {
    '~standard': { version: 1, vendor: 'test', validate: isAsync ? async (value) => ask(value) : ask },
  }
}

for (const isAsync of [false, true]) {
  const how = isAsync ? 'whose promise rejects' : 'that throws'
  test(`a schema ${how} is a failed attempt: the job is retried, and its payload refused only by issues`, async () => {
    await using bench = openBench(redis)
    const retry = { attempts: 3, delay: 0 }
    const seen: unknown[] = []
    const start = (payload: StandardSchemaV1<unknown, string>) =>
      bench.startWorker({
        handlers: [
          handle(defineJob({ type: 'strict', payload, retry }), ({ payload, attempt }) => {
            seen.push([payload, attempt])
          }),
        ],
        concurrency: 1,
      })
    await bench.moca.queue.enqueue(loose, 'wanted')
    const worker = await start(askingSchema(isAsync))
    await bench.settled(1, 'completed')
    assert.deepEqual(seen, [['checked wanted', 3]])
    await worker.stop()

    const { id } = await bench.moca.queue.enqueue(loose, 'unwanted')
    await start(askingSchema(isAsync))
    await bench.settled(1, 'dead')
    const view = await bench.moca.queue.inspect(id)
    assert.equal(view?.reason, 'invalid payload')
    assert.deepEqual(
      view?.errors.map(({ message }) => message.replace(/^.*: /, '')),
      ['the server is away (1)', 'the server is away (2)', 'not wanted [payload_invalid]'],
    )
    assert.equal((await bench.counts()).retried, 4)
  })
}

test('a schema that is always broken uses up the attempts of its job, and nothing else', async () => {
  await using bench = openBench(redis)
  const payload = z.unknown().refine((value) => {
    if (value === 'sync') throw new Error('the schema is broken')
    return true
  })
  const job = defineJob({ type: 'strict', payload, retry: { attempts: 2, delay: 0 } })
  const { id } = await bench.moca.queue.enqueue(loose, 'sync')
  await bench.moca.queue.enqueue(loose, 'fine')
  await bench.startWorker({ handlers: [handle(job, () => {})] })
  await bench.settled(1, 'dead')
  const view = await bench.moca.queue.inspect(id)
  assert.deepEqual([view?.reason, view?.errors.length], ['attempts used up', 2])
  assert.match(view?.errors[0]?.message ?? '', /the schema is broken/)
  await bench.settled(1, 'completed')
})

test('a schema that returns something else than the standard says is a failed attempt, too', async () => {
  await using bench = openBench(redis)
  const validate = () => undefined as never
  const payload: StandardSchemaV1 = { '~standard': { version: 1, vendor: 'test', validate } }
  const job = defineJob({ type: 'strict', payload, retry: { attempts: 2, delay: 0 } })
  const { id } = await bench.moca.queue.enqueue(loose, 1)
  await bench.startWorker({ handlers: [handle(job, () => {})] })
  await bench.settled(1, 'dead')
  const view = await bench.moca.queue.inspect(id)
  assert.deepEqual([view?.reason, view?.errors.length], ['attempts used up', 2])
})

test('a stranger in the stream is a dead letter, and the jobs behind it run', async () => {
  await using bench = openBench(redis)
  bench.skipBalance() // the strangers were never accepted
  await bench.moca.connect()
  await bench.moca.queue.enqueue(loose, 1)
  const add = (...fields: string[]) => bench.command<string>('XADD', ':q:default', '*', ...fields)
  const strangers = [
    await add('t', 'strict', 'o', '', 'd', 'no json'),
    await add('t', 'strict', 'o', '{broken', 'd', '1'),
    await add('something', 'else'),
    await add('t', 'strict', 'o', '', 'd', ''),
  ]
  await bench.moca.queue.enqueue(loose, 2)
  const seen: unknown[] = []
  await bench.startWorker({ handlers: [handle(loose, ({ payload }) => void seen.push(payload))], ...KEEP_ORDER })
  await bench.settled(2 + strangers.length)
  assert.deepEqual(seen, [1, 2])
  for (const entry of strangers) {
    const view = await bench.moca.queue.inspect(`default.0.${entry}`)
    assert.deepEqual([view?.status, view?.reason], ['dead', 'unreadable'])
  }
  assert.equal((await bench.counts()).dead, strangers.length)
})

test('a payload may be anything that JSON holds, __proto__ included', async () => {
  await using bench = openBench(redis)
  const job = defineJob({ type: 'any', retry: { delay: 0 } })
  const payloads = [
    JSON.parse('{"__proto__":{"polluted":true},"constructor":1}') as unknown,
    'line\nbreak\u0000\ud800 \u2028 😀',
    [[[]]],
    { '': '' },
    -0.5e-7,
    9_007_199_254_740_991,
    null,
  ]
  const seen: string[] = []
  const handler = handle(job, ({ payload, attempt }) => {
    if (attempt === 1) throw new Error('through the delayed jobs, too')
    seen.push(JSON.stringify(payload))
    assert.equal(({} as { polluted?: boolean }).polluted, undefined)
  })
  await bench.startWorker({ handlers: [handler], concurrency: 1 })
  for (const payload of payloads) await bench.moca.queue.enqueue(job, payload)
  await bench.moca.queue.enqueueMany(
    job,
    payloads.map((payload) => ({ payload, key: 'k', delay: 1, headers: { a: '\ud800"\n' } })),
  )
  await bench.settled(payloads.length * 2, 'completed', { timeoutMs: 20_000 })
  const texts = payloads.map((payload) => JSON.stringify(payload))
  assert.deepEqual(seen.toSorted(), [...texts, ...texts].toSorted())
})
