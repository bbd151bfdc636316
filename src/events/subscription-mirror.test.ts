import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { lend } from '../../test/support/redis-access.ts'
import { type RedisServer, startRedis } from '../../test/support/redis-server.ts'
import { ConnectionError, SchemaError } from '../errors.ts'
import { openNamespace } from '../queue/namespace.ts'
import { Connection } from '../redis/connection.ts'
import { RedisSubscriptions } from './backends/redis/redis-subscriptions.ts'
import type { RegisteredSubscription } from './subscription-registry.ts'
import { defineSubscription } from './subscription.ts'
import { SubscriptionMirror } from './subscription-mirror.ts'

let redis: RedisServer
before(async () => {
  redis = await startRedis()
})
after(() => redis.stop())

let namespaces = 0
async function openCopy() {
  const connection = await Connection.open({ url: redis.url }, 'test')
  const opened = await openNamespace(connection, `mirror${++namespaces}`, { queues: [], makeGroups: false })
  const copy = new RedisSubscriptions(lend(opened))
  return { copy, opened, [Symbol.dispose]: () => opened.destroy() }
}

function registered(name: string, since: number): RegisteredSubscription {
  const { job: _job, start: _start, ...definition } = defineSubscription({ name, topics: ['t'] })
  return { ...definition, since }
}

/** Rows that a test changes by hand. */
class Rows {
  subscriptions: readonly RegisteredSubscription[] = []
  version = 0
  /** What happens between the reading of the rows and the answer. */
  meanwhile: (() => Promise<void>) | undefined

  set(...subscriptions: RegisteredSubscription[]): void {
    this.version++
    this.subscriptions = subscriptions
  }

  async list() {
    const { version, subscriptions, meanwhile } = this
    this.meanwhile = undefined
    await meanwhile?.()
    return { version, subscriptions, ended: [] }
  }
}

test('the copy follows the rows', async () => {
  using it = await openCopy()
  const rows = new Rows()
  const mirror = new SubscriptionMirror(rows, it.copy)
  assert.equal(await mirror.runOnce(), 'replaced')
  let version = 0
  for (const set of [[registered('a', 1)], [registered('a', 1), registered('b', 2)], [registered('b', 2)], []]) {
    rows.set(...set)
    assert.equal(await mirror.runOnce(), 'replaced')
    assert.equal(await mirror.runOnce(), 'unchanged')
    const copy = await it.copy.list()
    assert.deepEqual(copy.subscriptions, set)
    assert.ok(copy.version > version)
    version = copy.version
  }
})

test('a copy that was forgotten or tampered with is mended, whatever the version of the rows', async () => {
  using it = await openCopy()
  const rows = new Rows()
  rows.set(registered('a', 1))
  const mirror = new SubscriptionMirror(rows, it.copy)
  await mirror.runOnce()
  const { version } = await it.copy.list()
  await redis.cli(['DEL', `${it.opened.prefix}subscriptions`])
  assert.equal(await mirror.runOnce(), 'replaced')
  await it.copy.register(defineSubscription({ name: 'stranger', topics: ['t'] }))
  assert.equal(await mirror.runOnce(), 'replaced')
  const copy = await it.copy.list()
  assert.deepEqual(copy.subscriptions, [registered('a', 1)])
  assert.ok(copy.version > version)
})

test('older rows never come after newer ones', async () => {
  using it = await openCopy()
  const rows = new Rows()
  rows.set(registered('a', 1))
  const [slow, fast] = [new SubscriptionMirror(rows, it.copy), new SubscriptionMirror(rows, it.copy)]
  // While one has read the rows and not written yet, somebody registers and another one writes.
  rows.meanwhile = async () => {
    rows.set(registered('a', 1), registered('b', 2))
    assert.equal(await fast.runOnce(), 'replaced')
  }
  await slow.runOnce()
  assert.deepEqual((await it.copy.list()).subscriptions, [registered('a', 1), registered('b', 2)])
})

test('a copy that there is not is made when it is asked for; one that there is is taken as it is', async () => {
  using it = await openCopy()
  const rows = new Rows()
  rows.set(registered('a', 1))
  const mirror = new SubscriptionMirror(rows, it.copy)
  assert.deepEqual((await mirror.list()).subscriptions, [registered('a', 1)])
  rows.set(registered('a', 1), registered('b', 2))
  assert.deepEqual((await mirror.list()).subscriptions, [registered('a', 1)])
})

test('without rows to be had there is nobody where there is no schema, and no answer in an outage', async () => {
  using it = await openCopy()
  const rows = new Rows()
  const mirror = new SubscriptionMirror(rows, it.copy)
  rows.meanwhile = async () => {
    throw new ConnectionError('away')
  }
  await assert.rejects(mirror.list(), { name: ConnectionError.name })
  rows.meanwhile = async () => {
    throw new SchemaError('no schema')
  }
  assert.deepEqual(await mirror.list(), { version: 0, subscriptions: [], ended: [] })
})
