import assert from 'node:assert/strict'
import { after, before, type TestContext, test } from 'node:test'
import { lend } from '../../test/support/redis-access.ts'
import { type RedisServer, startRedis } from '../../test/support/redis-server.ts'
import { waitFor } from '../../test/support/wait-for.ts'
import { ConnectionError, OptionError } from '../errors.ts'
import { silentLogger } from '../logger.ts'
import { openNamespace } from '../queue/namespace.ts'
import { Connection } from '../redis/connection.ts'
import { RedisSubscriptions } from './backends/redis/redis-subscriptions.ts'
import { defineSubscription } from './subscription.ts'
import { SubscriptionKeeper } from './subscription-keeper.ts'

let redis: RedisServer
before(async () => {
  redis = await startRedis()
})
after(() => redis.stop())

const [bills, mails] = ['bills', 'mails'].map((name) => defineSubscription({ name, topics: ['shop.orders'] })) as [
  ReturnType<typeof defineSubscription>,
  ReturnType<typeof defineSubscription>,
]

let namespaces = 0
async function open(t: TestContext) {
  const connection = await Connection.open({ url: redis.url }, 'test')
  const opened = await openNamespace(connection, `keeper${++namespaces}`, { queues: [], makeGroups: false })
  const registry = new RedisSubscriptions(lend(opened))
  const keeper = new SubscriptionKeeper({
    register: (subscription) => registry.register(subscription),
    registry,
    subscriptions: [bills, mails],
    log: silentLogger,
  })
  t.after(async () => {
    await keeper.stop()
    opened.destroy()
  })
  const names = async () => (await registry.list()).subscriptions.map(({ name }) => name)
  const forget = () => redis.cli(['DEL', `${opened.prefix}subscriptions`])
  return { opened, registry, keeper, names, forget }
}

test('registers when it starts, and again what the server forgot', async (t) => {
  const { keeper, names, forget } = await open(t)
  await keeper.start()
  assert.deepEqual(await names(), ['bills', 'mails'])
  await forget()
  assert.deepEqual(await names(), [])
  await waitFor(async () => (await names()).length === 2)
})

test('registers again what another one that came first did not have', async (t) => {
  const { keeper, registry, names, forget } = await open(t)
  await keeper.start()
  await forget()
  await registry.register(bills)
  await keeper.runOnce()
  assert.deepEqual(await names(), ['bills', 'mails'])
})

test('leaves out what somebody took out, until it starts again', async (t) => {
  const { keeper, registry, names } = await open(t)
  await keeper.start()
  await registry.unregister('bills')
  await keeper.runOnce()
  assert.deepEqual(await names(), ['mails'])
  await keeper.start()
  assert.deepEqual(await names(), ['bills', 'mails'])
})

test('leaves alone what is registered, and changes no version', async (t) => {
  const { keeper, registry } = await open(t)
  await keeper.start()
  const { version } = await registry.list()
  await keeper.runOnce()
  await keeper.start()
  assert.equal((await registry.list()).version, version)
})

test('a server that is away when it starts is asked again', async (t) => {
  const { registry, keeper, names } = await open(t)
  const list = registry.list.bind(registry)
  registry.list = async () => {
    throw new ConnectionError('away')
  }
  await keeper.start()
  registry.list = list
  await waitFor(async () => (await names()).length === 2)
})

test('rejects at the start with what no other try can mend', async (t) => {
  const { registry } = await open(t)
  const past = defineSubscription({ name: 'past', topics: ['shop.orders'], start: 'beginning' })
  const keeper = new SubscriptionKeeper({
    register: (subscription) => registry.register(subscription),
    registry,
    subscriptions: [past],
    log: silentLogger,
  })
  await assert.rejects(keeper.start(), { name: OptionError.name })
  await keeper.stop()
})

test('goes on through an outage, and stops', async (t) => {
  const { opened, keeper } = await open(t)
  await keeper.start()
  opened.destroy()
  await assert.rejects(keeper.runOnce())
  await keeper.stop()
  await keeper.stop()
})
