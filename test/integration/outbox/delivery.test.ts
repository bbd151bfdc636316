import assert from 'node:assert/strict'
import { after, before, test, type TestContext } from 'node:test'
import { defineSubscription, handleEvent, type Subscription } from '../../../src/events/subscription.ts'
import { defineJob, handle, type JobHandler } from '../../../src/job/job.ts'
import { silentLogger } from '../../../src/logger.ts'
import { createMoca } from '../../../src/moca.ts'
import { Subscriptions } from '../../../src/outbox/subscriptions.ts'
import { runOutboxProcess } from '../../../src/processes/outbox.ts'
import { createWorker } from '../../../src/worker.ts'
import { outboxScenes } from '../../support/outbox-scene.ts'
import { type RedisServer, startRedis } from '../../support/redis-server.ts'
import { waitFor } from '../../support/wait-for.ts'

// From a transaction to a handler, through everything.

let redis: RedisServer
before(async () => {
  redis = await startRedis({ fsync: 'always' })
})
after(() => redis.stop())
const openScene = outboxScenes()
let namespaces = 0

async function stage(t: TestContext) {
  const scene = await openScene(t)
  const namespace = `delivery${++namespaces}`
  await scene.database.query('update moca.deployment set namespace = $1', [namespace])
  const input = { namespace, redis: { url: redis.url }, postgres: { url: scene.database.url } }
  const moca = createMoca(input)
  t.after(() => moca.close())
  const connection = await scene.connect()
  const registry = new Subscriptions(connection, 'moca')
  return {
    scene,
    moca,
    connection,
    subscribe: (subscription: Subscription) => registry.register(subscription),
    relay: () => {
      const stop = new AbortController()
      const running = runOutboxProcess({ input, log: silentLogger, stop: stop.signal })
      const end = async () => {
        stop.abort()
        await running
      }
      t.after(end)
      return { end }
    },
    work: async (...handlers: JobHandler[]) => {
      const worker = createWorker(moca, { handlers, lease: '2s' })
      t.after(() => worker.stop())
      await worker.start()
    },
  }
}

function collector(subscription: Subscription) {
  const events: { key: string | null; n: number }[] = []
  const handler = handleEvent(subscription, ({ event }) => {
    events.push({ key: event.docname, n: (event.data as { n: number }).n })
  })
  return { events, handler, ns: () => events.map(({ n }) => n) }
}

const event = (n: number, name = 'a') => ({ type: 'thing.changed', doctype: 'Thing', docname: name, data: { n } })

test('an event and a job reach their handlers if and only if the transaction commits', async (t) => {
  const it = await stage(t)
  const things = defineSubscription({ name: 'things', topics: ['shop.things'] })
  const invoice = defineJob({ type: 'invoice.send', queue: 'critical' })
  const sent: unknown[] = []
  const { ns, handler } = collector(things)
  await it.subscribe(things)
  it.relay()
  await it.work(
    handler,
    handle(invoice, ({ payload, job }) => void sent.push([payload, job.id])),
  )
  const ids: string[] = []
  await it.connection.transaction(async (tx) => {
    await it.moca.outbox.record(tx, 'shop.things', event(1))
    ids.push((await it.moca.outbox.enqueue(tx, invoice, { order: 1 })).id)
  })
  const refused = it.connection.transaction(async (tx) => {
    await it.moca.outbox.record(tx, 'shop.things', event(2))
    await it.moca.outbox.enqueue(tx, invoice, { order: 2 })
    throw new Error('rolled back')
  })
  await assert.rejects(refused, /rolled back/)
  await it.connection.transaction(async (tx) => {
    await it.moca.outbox.record(tx, 'shop.things', event(3))
    ids.push((await it.moca.outbox.enqueue(tx, invoice, { order: 3 })).id)
  })
  await waitFor(() => ns().length >= 2 && sent.length >= 2, { describe: 'the handlers' })
  assert.deepEqual(ns(), [1, 3])
  // No order is asked for without a key.
  const expected = ids.map((id, index) => [{ order: index === 0 ? 1 : 3 }, id])
  assert.deepEqual(
    new Set(sent.map((each) => JSON.stringify(each))),
    new Set(expected.map((each) => JSON.stringify(each))),
  )
  assert.equal(sent.length, 2)
})

test('keys keep their order through retries', async (t) => {
  const it = await stage(t)
  const things = defineSubscription({ name: 'things', topics: ['shop.*'], retry: { delay: 20, attempts: 5 } })
  const order: string[] = []
  const failed = new Set<string>()
  await it.subscribe(things)
  it.relay()
  await it.work(
    handleEvent(things, ({ event: { docname, data } }) => {
      const { n } = data as { n: number }
      const id = `${docname}${n}`
      if (n % 3 === 0 && !failed.has(id)) {
        failed.add(id)
        throw new Error('not yet')
      }
      order.push(id)
    }),
  )
  for (let n = 0; n < 20; n++) {
    await it.connection.transaction(async (tx) => {
      for (const name of ['a', 'b', 'c']) await it.moca.outbox.record(tx, 'shop.things', event(n, name))
    })
  }
  await waitFor(() => order.length === 60, { describe: 'all events', timeoutMs: 20_000 })
  for (const name of ['a', 'b', 'c']) {
    const expected = Array.from({ length: 20 }, (_, n) => `${name}${n}`)
    assert.deepEqual(
      order.filter((id) => id.startsWith(name)),
      expected,
    )
  }
})

test('attack 14: who subscribes gets what was not committed then, and one that begins in the past gets all of it first', async (t) => {
  const it = await stage(t)
  const record = (n: number) =>
    it.connection.transaction((tx) => it.moca.outbox.record(tx, 'shop.things', event(n)).then(() => {}))
  const early = collector(defineSubscription({ name: 'early', topics: ['shop.things'] }))
  const now = collector(defineSubscription({ name: 'now', topics: ['shop.things'] }))
  const past = collector(defineSubscription({ name: 'past', topics: ['shop.things'], start: 'beginning' }))
  await it.subscribe(defineSubscription({ name: 'early', topics: ['shop.things'] }))
  it.relay()
  await it.work(early.handler, now.handler, past.handler)
  for (let n = 0; n < 600; n += 3) {
    await it.connection.transaction(async (tx) => {
      for (const each of [n, n + 1, n + 2]) await it.moca.outbox.record(tx, 'shop.things', event(each))
    })
  }
  // In progress while others register: theirs, although it began before.
  const late = await it.scene.connect()
  await late.query('begin')
  await it.moca.outbox.record(late, 'shop.things', event(9_000, 'late'))
  await it.subscribe(defineSubscription({ name: 'now', topics: ['shop.things'] }))
  await it.subscribe(defineSubscription({ name: 'past', topics: ['shop.things'], start: 'beginning' }))
  for (let n = 600; n < 620; n++) await record(n)
  await late.query('commit')
  const all = Array.from({ length: 620 }, (_, n) => n)
  await waitFor(() => past.events.length >= 621, { describe: 'the past', timeoutMs: 40_000 })
  await waitFor(() => now.events.length >= 21 && early.events.length >= 621, { describe: 'the present' })
  const ofThing = (some: typeof past) => some.events.filter(({ key }) => key === 'a').map(({ n }) => n)
  assert.deepEqual(ofThing(past), all)
  assert.deepEqual(ofThing(early), all)
  assert.deepEqual(ofThing(now), all.slice(600))
  for (const some of [past, early, now]) assert.equal(some.events.filter(({ key }) => key === 'late').length, 1)
})
