import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { ConfigError } from '../errors.ts'
import type { HandlerContext, JobInfo } from '../job/job.ts'
import { silentLogger } from '../logger.ts'
import type { Envelope } from './event.ts'
import { definitionText, defineSubscription, handleEvent, readDefinition } from './subscription.ts'

test('a subscription is complete and frozen', () => {
  const subscription = defineSubscription({ name: 'order-mails', topics: ['shop.orders'] })
  const { job, ...rest } = subscription
  assert.deepEqual(rest, {
    name: 'order-mails',
    topics: ['shop.orders'],
    doctypes: undefined,
    types: undefined,
    sites: undefined,
    queue: 'default',
    start: 'now',
    onDead: 'block',
  })
  assert.deepEqual(
    [job.type, job.queue, job.timeoutMs, job.retry.attempts],
    ['event:order-mails', 'default', 300_000, 8],
  )
  assert.ok(Object.isFrozen(subscription) && Object.isFrozen(subscription.topics))
})

test('what is given overrides the defaults', () => {
  const { job, ...rest } = defineSubscription({
    name: 'A.b_c-1',
    topics: ['shop.*', 'mail', 'mail'],
    doctypes: ['Sales Order'],
    types: ['b', 'a'],
    sites: ['acme'],
    queue: 'long',
    start: new Date(5),
    onDead: 'skip',
    retry: { attempts: 1 },
    timeout: 0,
  })
  assert.deepEqual(rest, {
    name: 'A.b_c-1',
    topics: ['mail', 'shop.*'],
    doctypes: ['Sales Order'],
    types: ['a', 'b'],
    sites: ['acme'],
    queue: 'long',
    start: '1970-01-01T00:00:00.005Z',
    onDead: 'skip',
  })
  assert.deepEqual([job.queue, job.retry.attempts, job.timeoutMs, job.onDead], ['long', 1, 0, 'skip'])
})

const REFUSED: [Record<string, unknown>, RegExp][] = [
  [{ name: undefined }, /name of a subscription must be 1 to 64.*found undefined/],
  [{ name: 'a/b' }, /name of a subscription.*found "a\/b"/],
  [{ name: 'a\n' }, /name of a subscription/],
  [{ name: 'x'.repeat(65) }, /name of a subscription/],
  [{ topic: 'a' }, /Subscription s has an unknown option topic\. Known are name, topics,/],
  [{ topics: undefined }, /topics of subscription s must be a list of topics.*found undefined/],
  [{ topics: 'a' }, /found "a"/],
  [{ topics: [] }, /found a list/],
  [{ topics: ['a b'] }, /found "a b"/],
  [{ topics: ['*'] }, /found "\*"/],
  [{ types: [] }, /types of subscription s must be a list of texts/],
  [{ sites: [5] }, /sites of subscription s must be a list of texts; found 5/],
  [{ doctypes: [''] }, /doctypes of subscription s/],
  [{ queue: 'a.b' }, /queue name/],
  [{ start: 'later' }, /start of subscription s must be 'now', 'beginning' or a valid Date; found "later"/],
  [{ start: new Date(Number.NaN) }, /found an invalid Date/],
  [{ onDead: 'stop' }, /onDead of subscription s must be 'block' or 'skip'/],
  [{ data: { type: 'object' } }, /data of subscription s must be a Standard Schema/],
  [{ retry: { attempts: 0 } }, /retry of job event:s: attempts/],
]

for (const [options, message] of REFUSED) {
  test(`refuses ${JSON.stringify(options)}`, () => {
    assert.throws(() => defineSubscription({ name: 's', topics: ['t'], ...options }), {
      name: /Error$/,
      message,
    })
  })
}

test('what is no object is refused', () => {
  assert.throws(() => defineSubscription(undefined as never), { name: ConfigError.name, message: /found undefined/ })
})

test('a definition is registered and read again', () => {
  const options = { name: 's', topics: ['b', 'a.*'], types: ['x'], queue: 'long', onDead: 'skip' } as const
  const subscription = defineSubscription(options)
  const text = definitionText(subscription)
  const { job: _job, start: _start, ...definition } = subscription
  assert.deepEqual(readDefinition('s', JSON.parse(text)), definition)
  assert.equal(definitionText(defineSubscription({ ...options, topics: ['a.*', 'b', 'b'] })), text)
  assert.notEqual(definitionText(defineSubscription({ ...options, topics: ['b'] })), text)
})

test('a definition of another release is read as far as it is known, and one that is none is refused', () => {
  assert.equal(readDefinition('s', { topics: ['a'], newer: 1 }).onDead, 'block')
  assert.throws(() => readDefinition('s', { topics: 'a' }), {
    name: ConfigError.name,
    message: /topics of subscription s/,
  })
  assert.throws(() => readDefinition('s', null), { name: ConfigError.name })
})

const envelope: Envelope = {
  event_id: '01930000-0000-7000-8000-000000000000',
  event_type: 't',
  timestamp: '2026-11-25T00:00:00.000Z',
  source: null,
  site: null,
  doctype: null,
  docname: null,
  action: null,
  user: null,
  data: '42',
  prev_data: null,
  request_id: null,
}

function contextOf(payload: unknown, headers: Record<string, string> = {}) {
  const job = { id: 'default.0.1-1', headers } as unknown as JobInfo
  const signal = new AbortController().signal
  return {
    payload,
    job,
    attempt: 2,
    signal,
    fence: 7n,
    log: silentLogger,
  } satisfies HandlerContext as HandlerContext<never>
}

test('a handler gets the event, the topic, and what every handler gets', async () => {
  const subscription = defineSubscription({ name: 's', topics: ['t'] })
  const handler = handleEvent(subscription, (given) => given)
  assert.equal(handler.job.type, 'event:s')
  const context = contextOf(envelope, { 'moca-topic': 'shop.orders', traceparent: '00' })
  const given = (await handler.run(context)) as Record<string, unknown>
  assert.equal(given.event, envelope)
  assert.equal(given.topic, 'shop.orders')
  for (const name of ['job', 'attempt', 'signal', 'fence', 'log'] as const)
    assert.equal(given[name], context[name], name)
})

test('refuses to bind what is no subscription, or no function', () => {
  assert.throws(() => handleEvent({ name: 's' } as never, () => {}), {
    name: ConfigError.name,
    message: /handleEvent takes a subscription made by defineSubscription.*found an object/,
  })
  const subscription = defineSubscription({ name: 's', topics: ['t'] })
  assert.throws(() => handleEvent(subscription, 'run' as never), {
    name: ConfigError.name,
    message: /run must be a function; found "run"/,
  })
})

const validate = (schema: { '~standard': { validate: (value: unknown) => unknown } } | undefined, value: unknown) =>
  schema?.['~standard'].validate(value)

test("the data of an event are what the subscription's schema makes of them", async () => {
  const plain = defineSubscription({ name: 's', topics: ['t'], data: z.string().transform(Number) })
  assert.deepEqual(validate(plain.job.schema, envelope), { value: { ...envelope, data: 42 } })
  const slow = defineSubscription({ name: 's', topics: ['t'], data: z.string().refine(async () => true) })
  assert.deepEqual(await validate(slow.job.schema, envelope), { value: envelope })
})

test('data that the schema refuses are named, and so is what is no event', async () => {
  const { job } = defineSubscription({ name: 's', topics: ['t'], data: z.object({ total: z.number() }) })
  const result = (await validate(job.schema, { ...envelope, data: { total: 'x' } })) as {
    issues: { path: unknown[] }[]
  }
  assert.deepEqual(result.issues[0]?.path, ['data', 'total'])
  for (const value of [null, 'x', {}, { data: { total: 1 } }]) {
    const refused = (await validate(job.schema, value)) as { issues: { message: string }[] }
    assert.match(refused.issues[0]?.message ?? '', /envelope of an event/)
  }
})
