import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { lend } from '../../../../test/support/redis-access.ts'
import { type RedisServer, startRedis } from '../../../../test/support/redis-server.ts'
import { OptionError } from '../../../errors.ts'
import { type NamespaceConnection, openNamespace } from '../../../queue/namespace.ts'
import { Connection } from '../../../redis/connection.ts'
import { defineSubscription, type SubscriptionOptions } from '../../subscription.ts'
import { RedisSubscriptions } from './redis-subscriptions.ts'

let redis: RedisServer
before(async () => {
  redis = await startRedis()
})
after(() => redis.stop())

let namespaces = 0
async function open(namespace = `subscriptions${++namespaces}`) {
  const connection = await Connection.open({ url: redis.url }, 'test')
  const opened: NamespaceConnection = await openNamespace(connection, namespace, { queues: [], makeGroups: false })
  const registry = new RedisSubscriptions(lend(opened))
  return { namespace, opened, registry, [Symbol.dispose]: () => opened.destroy() }
}

const subscription = (name: string, options: Partial<SubscriptionOptions> = {}) =>
  defineSubscription({ name, topics: ['shop.orders'], ...options })

test('lists whom it registered, with the version of the set', async () => {
  using it = await open()
  assert.deepEqual(await it.registry.list(), { version: 0, subscriptions: [], ended: [] })
  const b = await it.registry.register(subscription('b', { types: ['order.paid'], queue: 'long' }))
  const a = await it.registry.register(subscription('a'))
  assert.deepEqual([b.status, a.status], ['registered', 'registered'])
  assert.ok(a.version > b.version)
  const { version, subscriptions } = await it.registry.list()
  assert.equal(version, a.version)
  assert.deepEqual(
    subscriptions.map(({ name, since, types, queue }) => ({ name, since, types, queue })),
    [
      { name: 'a', since: a.version, types: undefined, queue: 'default' },
      { name: 'b', since: b.version, types: ['order.paid'], queue: 'long' },
    ],
  )
})

test('registering again changes nothing, and something else keeps since', async () => {
  using it = await open()
  const first = await it.registry.register(subscription('a'))
  assert.deepEqual(await it.registry.register(subscription('a')), { status: 'unchanged', version: first.version })
  const changed = await it.registry.register(subscription('a', { sites: ['acme'] }))
  assert.equal(changed.status, 'changed')
  assert.ok(changed.version > first.version)
  const { subscriptions } = await it.registry.list()
  assert.deepEqual(
    subscriptions.map(({ name, since, sites }) => ({ name, since, sites })),
    [{ name: 'a', since: first.version, sites: ['acme'] }],
  )
})

test('unregistering ends it once, and a new registration is another one', async () => {
  using it = await open()
  const first = await it.registry.register(subscription('version'))
  assert.equal(await it.registry.unregister('version'), true)
  assert.equal(await it.registry.unregister('version'), false)
  const { version, subscriptions, ended } = await it.registry.list()
  assert.ok(version > first.version)
  assert.deepEqual({ subscriptions, ended }, { subscriptions: [], ended: ['version'] })
  await it.registry.register(subscription('version'))
  const again = await it.registry.list()
  assert.ok((again.subscriptions[0]?.since ?? 0) > first.version)
  assert.deepEqual(again.ended, [])
})

for (const start of ['beginning', new Date(0)] as const) {
  test(`refuses to start with ${start}: there is no log here`, async () => {
    using it = await open()
    await assert.rejects(it.registry.register(subscription('a', { start })), {
      name: OptionError.name,
      message: /without PostgreSQL there is no log/,
    })
    assert.equal((await it.registry.list()).version, 0)
  })
}

test('many at once are all registered, each with a version of its own', async () => {
  using it = await open()
  const names = Array.from({ length: 40 }, (_, index) => `s${index}`)
  const registrations = await Promise.all(names.map((name) => it.registry.register(subscription(name))))
  assert.equal(new Set(registrations.map(({ version }) => version)).size, names.length)
  assert.equal((await it.registry.list()).subscriptions.length, names.length)
})

test('the set becomes what is wanted, with one version', async () => {
  using it = await open()
  for (const name of ['a', 'b']) await it.registry.register(subscription(name))
  const seen = await it.registry.list()
  const { job: _job, start: _start, ...c } = subscription('c')
  const wanted = [...seen.subscriptions.filter(({ name }) => name === 'b'), { ...c, since: 5 }]
  assert.equal(await it.registry.replace(seen, wanted), 'replaced')
  const now = await it.registry.list()
  assert.ok(now.version > seen.version)
  assert.deepEqual(now.subscriptions, wanted)
  assert.equal(await it.registry.replace(now, wanted), 'unchanged')
  assert.equal((await it.registry.list()).version, now.version)
})

test('a set that was changed since it was looked at stays as it is', async () => {
  using it = await open()
  const seen = await it.registry.list()
  await it.registry.register(subscription('a'))
  assert.equal(await it.registry.replace(seen, []), 'moved')
  assert.equal((await it.registry.list()).subscriptions.length, 1)
})

test('an empty set that was never written has a version afterwards', async () => {
  using it = await open()
  assert.equal(await it.registry.replace(await it.registry.list(), []), 'replaced')
  assert.ok((await it.registry.list()).version > 0)
})

test('a server that forgot gives none of the versions of before', async () => {
  using it = await open()
  const before = (await it.registry.register(subscription('a'))).version
  await redis.cli(['FLUSHALL'])
  using again = await open(it.namespace)
  assert.ok((await again.registry.register(subscription('b'))).version > before)
})

test('touches nothing in a namespace of another layout, or one that was forgotten', async () => {
  using it = await open()
  const key = `${it.opened.prefix}layout`
  for (const [change, message] of [
    [['SET', key, '99'], /MOCALAYOUT 99/],
    [['DEL', key], /MOCALAYOUT none/],
  ] as const) {
    await redis.cli([...change])
    await assert.rejects(it.registry.register(subscription('a')), { message })
    await assert.rejects(it.registry.unregister('a'), { message })
    await assert.rejects(it.registry.replace({ version: 0 }, []), { message })
    assert.equal((await it.registry.list()).version, 0)
  }
})

test('refuses one more than a thousand, and changes and ends those that are there', async () => {
  using it = await open()
  for (let n = 0; n < 1_000; n++) await it.registry.register(subscription(`s${n}`))
  await assert.rejects(it.registry.register(subscription('one-more')), {
    code: 'option_invalid',
    message: /one-more cannot be registered: there are 1000 already/,
  })
  assert.equal((await it.registry.register(subscription('s7', { queue: 'long' }))).status, 'changed')
  assert.equal(await it.registry.unregister('s8'), true)
  assert.equal((await it.registry.register(subscription('one-more'))).status, 'registered')
})
