import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigError } from '../errors.ts'
import { defineSchedule } from '../scheduler/schedule.ts'
import { defineJob } from '../job/job.ts'
import { defineSubscription } from '../events/subscription.ts'
import { defineDoctype } from '../doctype/doctype.ts'
import { defineApp, requirePostgres, resolveConfig } from './config.ts'
import type { ConfigInput } from './options.ts'

const sendInvoice = defineJob({ type: 'invoice.send', queue: 'critical' })
const handlers = async () => ({})

function problem(input: unknown, env: Record<string, string> = {}): ConfigError {
  try {
    resolveConfig(input as ConfigInput, env)
  } catch (error) {
    assert.ok(error instanceof ConfigError)
    return error
  }
  return assert.fail('it was accepted')
}

test('fills in every default', () => {
  const config = resolveConfig({}, {})
  assert.equal(config.namespace, 'default')
  assert.equal(config.redis.url, 'redis://127.0.0.1:6379')
  assert.deepEqual(Object.keys(config.queues), ['critical', 'default', 'long'])
  assert.deepEqual(config.queues.critical, { weight: 6, concurrency: undefined, maxWaiting: undefined })
  assert.equal(config.worker.leaseMs, 30_000)
  assert.equal(config.worker.sweepIntervalMs, 15_000)
  assert.equal(config.queue.maxPayloadBytes, 1024 * 1024)
  assert.deepEqual(config.history, { entries: 10_000, ageMs: 24 * 3_600_000 })
  const timeouts = { connectTimeoutMs: 5_000, replyTimeoutMs: 10_000 }
  assert.deepEqual(config.postgres, { url: undefined, schema: 'moca', maxConnections: 5, ...timeouts })
  assert.deepEqual(config.outbox, {
    leaseMs: 10_000,
    pollIntervalMs: 12,
    retention: { ageMs: 7 * 24 * 3_600_000, bytes: undefined },
    redriveMaxMs: 600_000,
    maxBytes: 1024 * 1024,
    healthPort: undefined,
    healthHost: undefined,
  })
  assert.deepEqual(config.events, { source: undefined, perDoctypeTopics: false })
})

test('is frozen all through', () => {
  const config = resolveConfig({ apps: [defineApp({ name: 'shop', jobs: [sendInvoice], handlers })] }, {})
  for (const part of [
    config,
    ...Object.values(config),
    ...Object.values(config.queues),
    ...config.apps,
    config.outbox.retention,
  ]) {
    assert.ok(Object.isFrozen(part))
  }
})

test('puts the hooks of the configuration before those of its apps', () => {
  const attempt = () => {}
  const apps = ['billing', 'shop'].map((name) => defineApp({ name, handlers, hooks: { attempt } }))
  const { hooks } = resolveConfig({ apps, hooks: { attempt, publish: attempt } }, {})
  assert.deepEqual(
    hooks.attempt.map(({ owner }) => owner),
    ['the configuration', 'app billing', 'app shop'],
  )
  assert.deepEqual([hooks.enqueue.length, hooks.publish.length], [0, 1])
  assert.ok(Object.isFrozen(hooks) && Object.isFrozen(hooks.attempt))
  assert.throws(
    () => defineApp({ name: 'x', handlers, hooks: { run: attempt } as never }),
    /hooks must be an object of functions/,
  )
})

test('reads durations as milliseconds or as text', () => {
  const { worker } = resolveConfig({ worker: { lease: 10_000, grace: '1.5s', softTimeout: 0 } }, {})
  assert.equal(worker.leaseMs, 10_000)
  assert.equal(worker.sweepIntervalMs, 5_000)
  assert.equal(worker.graceMs, 1_500)
  assert.equal(worker.softTimeoutMs, 0)
})

test('merges queues onto the three built in', () => {
  const { queues } = resolveConfig({ queues: { critical: { concurrency: 3 }, mail: { weight: 2, maxWaiting: 9 } } }, {})
  assert.deepEqual(queues.critical, { weight: 6, concurrency: 3, maxWaiting: undefined })
  assert.deepEqual(queues.mail, { weight: 2, concurrency: undefined, maxWaiting: 9 })
  assert.equal(queues.long?.weight, 1)
})

test('lets the environment override, and takes an empty variable as none', () => {
  const input = { namespace: 'shop', redis: { url: 'redis://a', replyTimeout: 500 } }
  const config = resolveConfig(input, { MOCA_NAMESPACE: 'staging', REDIS_URL: 'rediss://u:p@b:1/2' })
  assert.equal(config.namespace, 'staging')
  assert.deepEqual(config.redis, { url: 'rediss://u:p@b:1/2', connectTimeoutMs: 5_000, replyTimeoutMs: 500 })
  assert.equal(resolveConfig(input, { MOCA_NAMESPACE: '', REDIS_URL: '' }).redis.url, 'redis://a')
})

test('takes PostgreSQL from DATABASE_URL, unless that is another kind of database', () => {
  const input = { postgres: { url: 'postgres://a/x', schema: 'shop_moca' } }
  const { postgres } = resolveConfig(input, { DATABASE_URL: 'postgresql://u:p@b:1/y?sslmode=require' })
  assert.deepEqual([postgres.url, postgres.schema], ['postgresql://u:p@b:1/y?sslmode=require', 'shop_moca'])
  for (const other of ['mysql://u:p@b/y', 'file:./dev.db', '']) {
    assert.equal(resolveConfig(input, { DATABASE_URL: other }).postgres.url, 'postgres://a/x')
    assert.equal(resolveConfig({}, { DATABASE_URL: other }).postgres.url, undefined)
  }
  assert.match(
    problem({}, { DATABASE_URL: 'postgress://u:hunter2@b/y' }).message,
    /postgres\.url \(from DATABASE_URL\): expected postgres\[ql\]:.*not shown/,
  )
})

test('tells who needs PostgreSQL where there is none', () => {
  const config = resolveConfig({ postgres: { url: 'postgres://a/x' } }, {})
  assert.equal(requirePostgres(config, 'moca migrate').url, 'postgres://a/x')
  assert.throws(() => requirePostgres(resolveConfig({}, {}), 'moca migrate'), {
    code: 'config_invalid',
    message: /^moca migrate needs PostgreSQL: set postgres\.url, or DATABASE_URL/,
  })
})

test('names the variable that brought a value that cannot be used', () => {
  const { message } = problem({}, { MOCA_NAMESPACE: 'a b' })
  assert.match(message, /namespace \(from MOCA_NAMESPACE\): expected 1 to 64 of a-z .* found "a b"/)
})

test('names the flag that set the variable', () => {
  assert.throws(
    () => resolveConfig({}, { MOCA_NAMESPACE: 'a b' }, { MOCA_NAMESPACE: '--namespace' }),
    /namespace \(from --namespace\): expected/,
  )
})

const REFUSED: [string, unknown, RegExp][] = [
  ['no duration', { worker: { lease: '30 seconds' } }, /worker\.lease: expected a duration .* found "30 seconds"/],
  [
    'a lease under a second',
    { worker: { lease: 999 } },
    /worker\.lease: expected a duration of 1s or more.* found 999/,
  ],
  [
    'no whole number',
    { worker: { concurrency: 1.5 } },
    /worker\.concurrency: expected a whole number from 1 .* found 1\.5/,
  ],
  ['zero where none is allowed', { queues: { long: { weight: 0 } } }, /queues\.long\.weight: .* found 0/],
  [
    'a duration that no timer can wait',
    { worker: { lease: '25d' } },
    /worker\.lease: .* of 1s or more up to 24d.* "25d"/,
  ],
  [
    'the same in milliseconds',
    { redis: { connectTimeout: 2 ** 31 } },
    /redis\.connectTimeout: .* up to 24d.* 2147483648/,
  ],
  [
    'a sweep interval whose timer could not wait',
    { worker: { lease: '24d', sweepInterval: '8d' } },
    /worker\.sweepInterval: .* of 50ms or more up to 7d/,
  ],
  ['null', { worker: null }, /worker: expected an object of settings for workers; found null/],
  ['a truthy text for a flag', { worker: { strict: 'no' } }, /worker\.strict: expected true or false; found "no"/],
  ['a list for the whole', [], /the configuration: expected an object.* found a list/],
  ['a queue name with a dot', { queues: { 'a.b': {} } }, /queues\.a\.b: expected a queue name.* found "a\.b"/],
  ['an unknown option', { worker: { sweepIntervall: 5 } }, /worker\.sweepIntervall: .* did you mean sweepInterval\?/],
  ['an option of another group', { concurrency: 5 }, /concurrency: .* did you mean worker\.concurrency\?/],
  [
    'an option like no other',
    { queues: { long: { colour: 1 } } },
    /colour: .* known are weight, concurrency, maxWaiting/,
  ],
  [
    'a sweep rarer than two leases',
    { worker: { lease: 1000, sweepInterval: 2001 } },
    /sweepInterval: expected at most two leases \(lease is 1000 ms\)/,
  ],
  [
    'a soft timeout after the stop',
    { worker: { softTimeout: '26s' } },
    /softTimeout: expected at most stopTimeout \(25000 ms\)/,
  ],
  ['another protocol', { redis: { url: 'http://x' } }, /redis\.url: expected redis\[s\]:/],
  ['another database', { postgres: { url: 'mysql://x/y' } }, /postgres\.url: expected postgres\[ql\]:/],
  [
    'a schema that would have to be quoted',
    { postgres: { schema: 'Moca' } },
    /postgres\.schema: expected 1 to 63 of a-z 0-9 _.*found "Moca"/,
  ],
  ["a schema of PostgreSQL's own", { postgres: { schema: 'pg_moca' } }, /postgres\.schema: .*not with pg_/],
  [
    'looks that are too rare to keep a lease',
    { outbox: { lease: '5s', pollInterval: '1001ms' } },
    /outbox\.pollInterval: expected at most a fifth of lease \(5000 ms\)/,
  ],
  ['a hook that is no function', { hooks: { attempt: 'log' } }, /hooks\.attempt: expected a function .*; found "log"/],
  ['a hook around something else', { hooks: { atempt: () => {} } }, /hooks\.atempt: .* did you mean attempt\?/],
  [
    'sending again what is gone',
    { outbox: { retention: { age: '1d' }, redriveMax: '2d' } },
    /outbox\.redriveMax: expected at most retention\.age \(86400000 ms\)/,
  ],
  [
    'an unknown option of a group in a group',
    { outbox: { retention: { ages: '1d' } } },
    /outbox\.retention\.ages: .*did you mean age\?/,
  ],
  [
    'a retention that is none',
    { outbox: { retention: '7d' } },
    /outbox\.retention: expected an object \{ age, bytes \}/,
  ],
  ['an empty source', { events: { source: '' } }, /events\.source: expected a text of 1 to 200 characters/],
  ['an app that is none', { apps: [{}] }, /apps\.0: expected an app made by defineApp/],
]

for (const [what, input, message] of REFUSED) {
  test(`refuses ${what}`, () => assert.match(problem(input).message, message))
}

test('names everything that is wrong at once, with facts for programs', () => {
  const { message, code, facts } = problem({ namespace: 'A', worker: { lease: 1, maxStalls: 0 } })
  assert.match(message, /namespace[^]*worker\.lease[^]*worker\.maxStalls/)
  assert.equal(code, 'config_invalid')
  assert.equal(facts.option, 'namespace')
  assert.equal((facts.issues as object[]).length, 3)
})

test('never shows a URL, which may hold a password', () => {
  const error = problem({ redis: { url: 'redis//u:hunter2@h' } })
  assert.doesNotMatch(error.message + JSON.stringify(error.facts), /hunter2/)
})

test('refuses two apps of one name, two jobs of one type, and a job of a queue that does not exist', () => {
  const shop = defineApp({ name: 'shop', jobs: [sendInvoice, defineJob({ type: 'x', queue: 'mail' })], handlers })
  const { message } = problem({ apps: [shop, shop] })
  assert.match(message, /apps\.1\.name: expected a name that no other app has/)
  assert.match(message, /apps\.1\.jobs\.invoice\.send: expected a type that no other job has \(app shop has it too\)/)
  assert.match(message, /expected a queue of this configuration \(critical, default, long\), not mail/)
})

test('refuses two subscriptions of one name, and one of a queue that does not exist', () => {
  const mails = defineSubscription({ name: 'mails', topics: ['shop.orders'] })
  const bills = defineSubscription({ name: 'bills', topics: ['shop.orders'], queue: 'bills' })
  const apps = ['a', 'b'].map((name) => defineApp({ name, subscriptions: [mails], handlers }))
  const { message } = problem({ apps: [...apps, defineApp({ name: 'c', subscriptions: [bills], handlers })] })
  assert.match(message, /apps\.1\.subscriptions\.mails: expected a name that no other subscription has \(app a has/)
  assert.match(message, /apps\.2\.subscriptions\.bills\.queue: expected a queue of this configuration .*, not bills/)
})

test('refuses doctypes of one name, or of one table', () => {
  const city = defineDoctype({ name: 'City', table: 'city', key: 'id' })
  const town = defineDoctype({ name: 'Town', table: 'city', key: 'id' })
  const apps = ['a', 'b'].map((name) => defineApp({ name, doctypes: [city], handlers }))
  const { message } = problem({ apps: [...apps, defineApp({ name: 'c', doctypes: [town], handlers })] })
  assert.match(message, /apps\.1\.doctypes\.City: expected a name that no other doctype has \(app a has it too\)/)
  assert.match(
    message,
    /apps\.2\.doctypes\.Town\.table: expected a table that no other doctype has \(it is that of City\)/,
  )
})

test('a schedule has a name of its own, and a queue of the configuration', () => {
  const job = defineJob({ type: 'report' })
  const nightly = defineSchedule({ name: 'nightly', job, payload: 1, cron: '@daily' })
  const app = defineApp({ name: 'a', jobs: [job], schedules: [nightly], handlers })
  assert.deepEqual(resolveConfig({ apps: [app] }, {}).schedules, [nightly])
  assert.match(
    problem({ apps: [app], schedules: [nightly] }).message,
    /nightly: expected a name that no other schedule/,
  )
  assert.match(problem({ schedules: [{ ...nightly }] }).message, /made by defineSchedule/)
  const strange = defineSchedule({ name: 's', job: defineJob({ type: 's', queue: 'mail' }), payload: 1, every: '1m' })
  assert.match(problem({ schedules: [strange] }).message, /schedules\.s\.queue: expected a queue of this configuration/)
})

test('defineApp refuses what is no app', () => {
  const good = { name: 'shop', jobs: [sendInvoice], handlers }
  assert.deepEqual(defineApp(good), { ...good, subscriptions: [], doctypes: [], schedules: [], hooks: {} })
  assert.deepEqual(defineApp({ name: 'a', handlers }), {
    name: 'a',
    jobs: [],
    subscriptions: [],
    doctypes: [],
    schedules: [],
    handlers,
    hooks: {},
  })
  assert.throws(() => defineApp({ ...good, subscriptions: [sendInvoice] as never }), /made by defineSubscription/)
  assert.throws(() => defineApp({ ...good, doctypes: [{ name: 'City' }] as never }), /made by defineDoctype/)
  assert.throws(() => defineApp({ ...good, schedules: [{ name: 'a' }] as never }), /made by defineSchedule/)
  assert.throws(() => defineApp({ ...good, name: 'My Shop' }), /name must be 1 to 64/)
  assert.throws(() => defineApp({ ...good, jobs: ['invoice.send'] as never }), /made by defineJob/)
  assert.throws(() => defineApp({ ...good, handlers: {} as never }), /handlers must be a function/)
  assert.throws(() => defineApp({ ...good, job: [] } as never), ConfigError)
})
