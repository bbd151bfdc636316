import assert from 'node:assert/strict'
import { after, before, test, type TestContext } from 'node:test'
import { QueueScene } from '../../test/support/queue-scene.ts'
import { type RedisServer, startRedis } from '../../test/support/redis-server.ts'
import { defineApp } from '../config/config.ts'
import { defineSubscription, handleEvent } from '../events/subscription.ts'
import { Inspector } from '../queue/inspector/inspector.ts'
import { QueueReader } from '../queue/inspector/queue-reader.ts'
import type { Diagnosis } from './diagnosis.ts'
import { checkLosses } from './losses.ts'
import { checkQueues } from './queues.ts'
import { checkSubscriptions } from './subscriptions.ts'

let redis: RedisServer
before(async () => {
  redis = await startRedis()
})
after(() => redis.stop())

const brief = (diagnoses: readonly Diagnosis[]) => diagnoses.map(({ severity, found }) => `${severity}: ${found}`)

let scenes = 0
async function openScene(t: TestContext) {
  const scene = await QueueScene.open(redis.url, `doctor${++scenes}`)
  t.after(() => scene.close())
  return { scene, inspector: new Inspector(new QueueReader(scene.namespace, scene.openNamespace)) }
}

test('a queue with jobs and no worker is a problem; with a worker, or without jobs, it is none', async (t) => {
  const { scene, inspector } = await openScene(t)
  const find = async () => brief(checkQueues(await inspector.counts(), await inspector.workers()))
  assert.deepEqual(await find(), [])
  await scene.enqueue('default', [{ type: 'a' }, { type: 'a', in: 60_000 }])
  assert.deepEqual(await find(), ['problem: Queue default has 2 jobs to run, and no worker.'])
  await scene.command('HSET', ':workers', 'w1', JSON.stringify({ queues: ['critical'] }))
  assert.equal((await find()).length, 1)
  await scene.command('HSET', ':workers', 'w1', JSON.stringify({ queues: ['critical', 'default'] }))
  assert.deepEqual(await find(), [])
})

test('jobs that no worker has a handler for are a problem', async (t) => {
  const { scene, inspector } = await openScene(t)
  await scene.command('HSET', ':workers', 'w1', JSON.stringify({ queues: ['default'] }))
  await scene.enqueue('default', [{ type: 'strange' }])
  await scene.settle('default', await scene.fetch('default', 1), { r: 'aside' })
  const found = checkQueues(await inspector.counts(), await inspector.workers())
  assert.match(brief(found).join(), /^problem: Queue default: 1 of type strange wait for a worker/)
})

test('what Redis forgot today is a problem, what it forgot long ago a note', async (t) => {
  const { scene, inspector } = await openScene(t)
  await scene.run('lose', { boot: '7-0', q: 'default', lost: 3, from: 0, to: 2_000 })
  const losses = await inspector.losses()
  assert.match(brief(checkLosses(losses, Date.now())).join(), /^problem: Redis forgot at least 3 of queue default/)
  assert.match(brief(checkLosses(losses, Date.now() + 2 * 86_400_000)).join(), /^note: /)
  await inspector.acknowledgeLosses({ by: 'anna' })
  assert.deepEqual(checkLosses(await inspector.losses(), Date.now()), [])
})

test('subscriptions: without a handler a problem, of another application or not registered a note', () => {
  const orders = defineSubscription({ name: 'orders', topics: ['shop.orders'] })
  const handler = handleEvent(orders, () => {})
  const app = defineApp({ name: 'shop', subscriptions: [orders], handlers: async () => ({ handler }) })
  const set = (names: string[]) => ({
    version: 1,
    ended: [],
    subscriptions: names.map((name) => ({ ...orders, name, since: 1 })),
  })
  assert.deepEqual(checkSubscriptions(set(['orders']), [app], [handler]), [])
  assert.deepEqual(brief(checkSubscriptions(set(['orders']), [app], [])), [
    'problem: Subscription orders has no handler: its events wait for one.',
  ])
  assert.match(brief(checkSubscriptions(set(['others']), [], [])).join(), /^note: Subscription others is registered/)
  assert.match(
    brief(checkSubscriptions(set([]), [app], [handler])).join(),
    /^note: Subscription orders is not registered/,
  )
})
