import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { defineSubscription, handleEvent } from '../../src/index.ts'
import { proxiedRedis } from '../support/proxied-redis.ts'
import { waitFor } from '../support/wait-for.ts'
import { KEEP_ORDER, openBench } from '../support/workbench.ts'

const servers = proxiedRedis()
const range = (count: number) => Array.from({ length: count }, (_, index) => index)

const orders = (name: string, options: Partial<Parameters<typeof defineSubscription>[0]> = {}) =>
  defineSubscription({ name, topics: ['shop.orders'], retry: { attempts: 3, delay: 0 }, ...options })

test('an emitted event reaches the handlers of all subscriptions that ask for it, with what it carries', async () => {
  await using bench = openBench(servers.redis, { events: { source: 'shop' } })
  const subscriptions = [
    orders('mails'),
    orders('bills', { types: ['order.paid'] }),
    orders('stock', { sites: ['acme'] }),
  ]
  const seen: string[] = []
  const handlers = subscriptions.map((subscription) =>
    handleEvent(subscription, ({ event, topic, job, attempt, fence, signal }) => {
      assert.deepEqual([event.source, topic, attempt, signal.aborted], ['shop', 'shop.orders', 1, false])
      assert.equal(job.headers.traceparent, '00-1')
      assert.ok(fence > 0n)
      seen.push(`${subscription.name} ${event.event_type} ${JSON.stringify(event.data)} ${job.key}`)
    }),
  )
  for (const subscription of subscriptions) await bench.moca.events.subscribe(subscription)
  await bench.startWorker({ handlers })
  const headers = { traceparent: '00-1' }
  await bench.moca.events.emit('shop.orders', { type: 'order.paid', key: 'order:1', data: { total: 1 }, headers })
  await bench.moca.events.emit('shop.orders', { type: 'order.sent', site: 'acme', headers })
  await bench.moca.events.emit('shop.carts', { type: 'order.paid', headers })
  await bench.settled(4, 'completed')
  assert.deepEqual(seen.toSorted(), [
    'bills order.paid {"total":1} bills/order:1',
    'mails order.paid {"total":1} mails/order:1',
    'mails order.sent null undefined',
    'stock order.sent null undefined',
  ])
})

test('events of a key come in order, through retries, and other keys do not wait', async () => {
  await using bench = openBench(servers.redis)
  const subscription = orders('mails')
  const seen = new Map<string, number[]>()
  const failed = new Set<number>()
  const handler = handleEvent(subscription, ({ event }) => {
    const { key, n } = event.data as { key: string; n: number }
    if (n % 4 === 0 && !failed.has(n)) {
      failed.add(n)
      throw new Error('again')
    }
    seen.set(key, [...(seen.get(key) ?? []), n])
  })
  await bench.moca.events.subscribe(subscription)
  for (const _ of range(2)) await bench.startWorker({ handlers: [handler], concurrency: 4 })
  const emit = (n: number) =>
    bench.moca.events.emit('shop.orders', { type: 'order.paid', key: `k${n % 5}`, data: { key: `k${n % 5}`, n } })
  await Promise.all(range(50).map(emit))
  for (const n of range(50)) await emit(50 + n)
  await bench.settled(100, 'completed')
  for (const n of range(5))
    assert.deepEqual(
      seen.get(`k${n}`),
      range(20).map((each) => each * 5 + n),
    )
})

test('a subscription gets what is emitted from its registration on, and nothing after its end', async () => {
  await using bench = openBench(servers.redis)
  const seen: unknown[] = []
  const subscription = orders('mails')
  const handler = handleEvent(subscription, ({ event }) => void seen.push(event.data))
  await bench.startWorker({ handlers: [handler], ...KEEP_ORDER })
  // Another process: it learns of a change when the script tells it that it knows another set.
  const other = bench.openMoca()
  const emit = (data: number) => other.events.emit('shop.orders', { type: 'order.paid', data })
  await emit(1)
  assert.deepEqual(await bench.moca.events.subscribe(subscription).then(({ status }) => status), 'registered')
  await emit(2)
  await bench.moca.events.subscribe(orders('mails', { types: ['order.sent'] }))
  await emit(3)
  await bench.moca.events.subscribe(subscription)
  await emit(4)
  assert.equal(await bench.moca.events.unsubscribe('mails'), true)
  await emit(5)
  await bench.settled(2, 'completed')
  assert.deepEqual(seen, [2, 4])
  assert.equal((await bench.counts()).accepted, 2)
})

test("an event's data are checked by the schema of the subscription: one that does not fit is a dead letter at once", async () => {
  await using bench = openBench(servers.redis)
  const subscription = defineSubscription({
    name: 'mails',
    topics: ['shop.orders'],
    data: z.object({ total: z.coerce.number() }),
  })
  const totals: number[] = []
  await bench.moca.events.subscribe(subscription)
  await bench.startWorker({
    handlers: [handleEvent(subscription, ({ event }) => void totals.push(event.data.total + 1))],
  })
  await bench.moca.events.emit('shop.orders', { type: 'order.paid', data: { total: '41' } })
  await bench.moca.events.emit('shop.orders', { type: 'order.paid', data: { total: 'many' } })
  await bench.settled(2)
  assert.deepEqual(totals, [42])
  const [dead] = (await bench.moca.queue.list({ status: 'dead' })).jobs
  assert.match(dead?.reason ?? '', /payload/)
  assert.match(dead?.errors?.[0]?.message ?? '', /data\.total/)
})

for (const onDead of ['block', 'skip'] as const) {
  test(`behind a dead event, later ones of its key ${onDead === 'block' ? 'wait until it is retried' : 'pass'}`, async () => {
    await using bench = openBench(servers.redis)
    const seen: unknown[] = []
    let isBroken = true
    const subscription = orders('mails', { retry: { attempts: 1 }, onDead })
    const handler = handleEvent(subscription, ({ event }) => {
      if (event.data === 'a1' && isBroken) throw new Error('boom')
      seen.push(event.data)
    })
    await bench.moca.events.subscribe(subscription)
    await bench.startWorker({ handlers: [handler], ...KEEP_ORDER })
    for (const data of ['a1', 'a2', 'b1']) {
      await bench.moca.events.emit('shop.orders', { type: 'order.paid', key: data[0] ?? '', data })
    }
    await bench.settled(onDead === 'block' ? 2 : 3)
    assert.deepEqual(new Set(seen), new Set(onDead === 'block' ? ['b1'] : ['a2', 'b1']))
    isBroken = false
    const [dead] = (await bench.moca.queue.list({ status: 'dead' })).jobs
    assert.equal(await bench.moca.queue.retry(dead?.id ?? ''), 'retried')
    await bench.settled(3, 'completed')
    assert.deepEqual(
      seen.filter((data) => data !== 'b1'),
      onDead === 'block' ? ['a1', 'a2'] : ['a2', 'a1'],
    )
  })
}

test('emitting goes on after a cut, and what it said was emitted arrived', async () => {
  await using bench = openBench(servers.redis)
  const seen = new Set<unknown>()
  const subscription = orders('mails')
  await bench.moca.events.subscribe(subscription)
  await bench.startWorker({ handlers: [handleEvent(subscription, ({ event }) => void seen.add(event.data))] })
  const cut = bench.openMoca({ redis: { url: servers.proxy.url } })
  const outcomes = await Promise.all(
    range(300).map(async (n) => {
      if (n % 100 === 50) servers.proxy.cut()
      await new Promise(setImmediate)
      return cut.events.emit('shop.orders', { type: 'order.paid', data: n }).then(
        () => true,
        (error: { mayHaveBeenApplied?: boolean }) => {
          assert.equal(error.mayHaveBeenApplied, true) // what was not sent is tried again
          return false
        },
      )
    }),
  )
  await waitFor(() => outcomes.every((isEmitted, n) => !isEmitted || seen.has(n)), { timeoutMs: 15_000 })
  assert.ok(outcomes.filter(Boolean).length > 200)
})

test('Redis that forgot everything is opened again, and no event goes to nobody while subscriptions are missing', async () => {
  await using bench = openBench(servers.redis)
  bench.skipBalance()
  const subscription = orders('mails')
  await bench.moca.events.subscribe(subscription)
  await bench.moca.events.emit('shop.orders', { type: 'order.paid', data: 1 })
  await servers.redis.cli(['FLUSHALL'])
  await servers.redis.cli(['CONFIG', 'RESETSTAT'])
  let isEmitted = false
  const emitting = bench.moca.events.emit('shop.orders', { type: 'order.paid', data: 2 }).then(() => {
    isEmitted = true
  })
  // It asks again and again who is subscribed.
  await waitFor(async () => /cmdstat_hgetall:calls=[3-9]/.test(await servers.redis.cli(['INFO', 'commandstats'])))
  assert.equal(isEmitted, false)
  await bench.openMoca().events.subscribe(subscription)
  await emitting
  assert.deepEqual(
    (await bench.moca.queue.list()).jobs.map(({ payload }) => (payload as { data: number }).data),
    [2],
  )
})

test('a dead letter is told by an event, but for that of a notification itself', async () => {
  await using bench = openBench(servers.redis)
  const broken = orders('mails', { retry: { attempts: 1 } })
  const ops = defineSubscription({ name: 'ops', topics: ['moca.notifications'], retry: { attempts: 1 } })
  const told: unknown[] = []
  const boom = () => {
    throw new Error('boom')
  }
  for (const subscription of [broken, ops]) await bench.moca.events.subscribe(subscription)
  const tell = handleEvent(ops, ({ event }) => {
    told.push(event.data)
    boom()
  })
  await bench.startWorker({ handlers: [handleEvent(broken, boom), tell] })
  await bench.moca.events.emit('shop.orders', { type: 'order.paid' })
  await bench.settled(1, 'dead')
  assert.equal(await bench.moca.notifier.runOnce(), 1)
  await bench.settled(2, 'dead')
  await bench.moca.notifier.runOnce()
  assert.equal(await bench.moca.notifier.runOnce(), 0)
  const [{ jobId, at, ...data }] = told as [Record<string, unknown>]
  assert.deepEqual(data, { queue: 'default', type: 'event:mails', reason: 'attempts used up', topic: 'shop.orders' })
  const dead = (await bench.moca.queue.list({ status: 'dead' })).jobs
  assert.ok(dead.some(({ id, type }) => id === jobId && type === 'event:mails') && typeof at === 'string')
  assert.equal(dead.length, 2)
})
