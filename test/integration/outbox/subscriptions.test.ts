import assert from 'node:assert/strict'
import { after, before, test, type TestContext } from 'node:test'
import { createMoca, defineApp, defineSubscription, type MocaOptions } from '../../../src/index.ts'
import { silentLogger } from '../../../src/logger.ts'
import { runOutboxProcess } from '../../../src/processes/outbox.ts'
import { Project } from '../../support/command-line.ts'
import { outboxScenes } from '../../support/outbox-scene.ts'
import { type RedisServer, startRedis } from '../../support/redis-server.ts'
import { waitFor } from '../../support/wait-for.ts'

// Subscriptions in PostgreSQL, the copy of them that emitted events go by, and those who only look.

let redis: RedisServer
before(async () => {
  redis = await startRedis()
})
after(() => redis.stop())
const openScene = outboxScenes()
let namespaces = 0

async function stage(t: TestContext, options: MocaOptions = {}) {
  const scene = await openScene(t)
  const namespace = `subscribed${++namespaces}`
  await scene.database.query('update moca.deployment set namespace = $1', [namespace])
  const input = { namespace, redis: { url: redis.url }, postgres: { url: scene.database.url }, ...options }
  const open = (given: MocaOptions = input) => {
    const moca = createMoca(given)
    t.after(() => moca.close())
    return moca
  }
  return {
    scene,
    input,
    moca: open(),
    open,
    /** An application that has no PostgreSQL. */
    emitter: open({ namespace, redis: { url: redis.url } }),
    relay: () => {
      const stop = new AbortController()
      const running = runOutboxProcess({ input, log: silentLogger, stop: stop.signal })
      t.after(async () => {
        stop.abort()
        await running
      })
    },
  }
}

const orders = (name: string) => defineSubscription({ name, topics: ['shop.orders'] })
const paid = (n: number) => ({ type: 'order.paid', key: `k${n % 3}`, data: n })

test('a relay registers the subscriptions of its apps, and emitted events of an application without PostgreSQL reach them', async (t) => {
  const app = defineApp({ name: 'shop', subscriptions: [orders('mails')], handlers: async () => ({}) })
  const it = await stage(t, { apps: [app] })
  it.relay()
  await waitFor(async () => (await it.emitter.events.subscriptions()).length === 1, { timeoutMs: 15_000 })
  await it.emitter.events.emit('shop.orders', paid(1))
  const connection = await it.scene.connect()
  await connection.transaction((tx) => it.moca.outbox.record(tx, 'shop.orders', paid(2)))
  await waitFor(async () => (await it.moca.queue.list()).jobs.length === 2, { timeoutMs: 15_000 })
  const jobs = (await it.moca.queue.list()).jobs.map(
    ({ type, payload }) => `${type} ${(payload as { data: number }).data}`,
  )
  assert.deepEqual(jobs.toSorted(), ['event:mails 1', 'event:mails 2'])
})

test('who subscribes in PostgreSQL gets what is emitted right afterwards, without a relay', async (t) => {
  const it = await stage(t)
  await it.moca.events.subscribe(orders('mails'))
  await it.emitter.events.emit('shop.orders', paid(1))
  await it.moca.events.unsubscribe('mails')
  await it.emitter.events.emit('shop.orders', paid(2))
  const jobs = (await it.moca.queue.list()).jobs.map(({ payload }) => (payload as { data: number }).data)
  assert.deepEqual(jobs, [1])
})

test('an application that has PostgreSQL finds who is subscribed where Redis forgot it, without a relay', async (t) => {
  const it = await stage(t)
  await it.moca.events.subscribe(orders('mails'))
  await redis.cli(['DEL', `{moca:${it.input.namespace}}:subscriptions`])
  await it.open().events.emit('shop.orders', paid(1))
  assert.equal((await it.moca.queue.list()).jobs.length, 1)
})

test('an application whose PostgreSQL has no schema of Moca emits all the same', async (t) => {
  const it = await stage(t)
  const database = await it.scene.server.createDatabase(t)
  const moca = it.open({ ...it.input, postgres: { url: database.url } })
  await moca.events.emit('shop.orders', paid(1))
  await moca.close() // before its database goes
})

test('a relay puts the copy in Redis right, whatever became of it', async (t) => {
  const it = await stage(t)
  await it.moca.events.subscribe(orders('mails'))
  it.relay()
  const names = async () => (await it.emitter.events.subscriptions()).map(({ name }) => name)
  await waitFor(async () => (await names()).join() === 'mails')
  await redis.cli(['DEL', `{moca:${it.input.namespace}}:subscriptions`])
  await it.emitter.events.subscribe(orders('stranger'))
  await waitFor(async () => (await names()).join() === 'mails', { timeoutMs: 15_000 })
})

test('tail --since shows every event once while they are recorded and relayed', async (t) => {
  const it = await stage(t)
  it.relay()
  const connection = await it.scene.connect()
  const project = await Project.make({
    REDIS_URL: redis.url,
    DATABASE_URL: it.scene.database.url,
    MOCA_NAMESPACE: it.input.namespace,
  })
  t.after(() => project.remove())
  let recorded = 0
  const enough = new AbortController()
  const recording = (async () => {
    while (!enough.signal.aborted) {
      await connection.transaction((tx) => it.moca.outbox.record(tx, 'shop.orders', paid(recorded)))
      recorded++
    }
  })()
  await waitFor(() => recorded > 50)
  const tail = project.start(['events', 'tail', 'shop.orders', '--since', '1h', '--json'])
  await tail.said(/Listening to/, 30_000)
  const before = recorded
  await waitFor(() => recorded > before + 100)
  enough.abort()
  await recording
  // Not the last one: each lane's events come in order, and lanes beside each other.
  const shown = () => tail.output.match(/"data":\d+/g)?.length ?? 0
  await waitFor(() => shown() >= recorded, {
    timeoutMs: 30_000,
    describe: () => `${recorded} events; there are ${shown()}`,
  })
  tail.kill('SIGTERM')
  const { stdout } = await tail.ended
  const lines = stdout.split('\n').filter((line) => line !== '')
  const data = lines.map((line) => (JSON.parse(line) as { event: { data: number } }).event.data)
  assert.deepEqual(
    data.toSorted((a, b) => a - b),
    Array.from({ length: recorded }, (_, n) => n),
  )
})
