import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { defineJob, handle } from '../../src/index.ts'
import { wakeChannel } from '../../src/queue/keys.ts'
import { Connection } from '../../src/redis/connection.ts'
import { startProxy } from '../support/proxy.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { waitFor } from '../support/wait-for.ts'
import { KEEP_ORDER, openBench } from '../support/workbench.ts'

let redis: RedisServer
before(async () => {
  redis = await startRedis()
})
after(() => redis.stop())

const job = defineJob({ type: 'later', retry: { delay: 0 } })

test('a delayed job starts when it is due, and not before', async () => {
  await using bench = openBench(redis)
  const lateness: number[] = []
  const due = new Map<string, number>()
  const handler = handle(job, ({ job: { id } }) => void lateness.push(Date.now() - (due.get(id) ?? Number.NaN)))
  await bench.startWorker({ handlers: [handler], concurrency: 100 })
  // Warm: the first run of everything is slower.
  await bench.moca.queue.enqueue(job, 0, { delay: 20 })
  await bench.settled(1)
  lateness.length = 0
  for (let n = 0; n < 100; n++) {
    const delay = 5 + ((n * 37) % 400)
    const from = Date.now()
    const { id } = await bench.moca.queue.enqueue(job, n, n % 2 === 0 ? { delay } : { runAt: new Date(from + delay) })
    due.set(id, from + delay)
  }
  await bench.settled(101)
  const sorted = lateness.toSorted((a, b) => a - b)
  // The server's clock ticks in whole milliseconds.
  assert.ok((sorted[0] ?? 0) >= -1, `${sorted[0]} ms early`)
  // The promise is 25 ms; this machine is shared with other tests. Missed wake-ups cost half a second each, on average.
  assert.ok((sorted[49] ?? 999) < 250, `p50 ${sorted[49]} ms`)
  assert.ok((sorted[98] ?? 999) < 900, `p99 ${sorted[98]} ms`)
})

test('every job that becomes the first to fall due is announced, also one of many with the same instant', async () => {
  await using bench = openBench(redis)
  const listener = await Connection.open({ url: redis.url }, 'test')
  const heard: string[] = []
  await listener.subscribe(wakeChannel(bench.prefix), (message) => heard.push(message))
  const at = Date.now() + 3_600_000
  const enqueue = (delay: number, count: number) =>
    bench.moca.queue.enqueueMany(
      job,
      Array.from({ length: count }, (_, payload) => ({ payload, runAt: new Date(at + delay) })),
    )
  await enqueue(0, 50)
  await enqueue(1, 50) // not the first
  await enqueue(-1, 50)
  await bench.moca.queue.enqueue(job, 1, { runAt: new Date(at - 2) })
  await waitFor(() => heard.length >= 3)
  assert.deepEqual(
    heard,
    [0, -1, -2].map((delay) => `default ${at + delay}`),
  )
  listener.destroy()
})

test('a worker hears of delayed jobs again after the connection that listens has hung', async () => {
  const proxy = await startProxy({ targetPort: () => redis.port })
  const listeners = () => proxy.names.filter((name) => name.endsWith(':wake')).length
  try {
    await using bench = openBench(redis)
    const throughProxy = bench.openMoca({ redis: { url: proxy.url } })
    await bench.startWorker({ handlers: [handle(job, () => {})], lease: '1s' }, throughProxy)
    await waitFor(() => listeners() === 1)
    proxy.setFaults({ kind: 'hole', isForOldOnly: true, name: /:wake$/ })
    await waitFor(() => listeners() === 2, { timeoutMs: 15_000, describe: 'another connection that listens' })
    await bench.moca.queue.enqueue(job, 1, { delay: 10 })
    await bench.settled(1)
  } finally {
    await proxy.stop()
  }
})

test('many jobs due at one instant all start', async () => {
  await using bench = openBench(redis)
  let first = Number.POSITIVE_INFINITY
  const handler = handle(job, () => {
    first = Math.min(first, performance.now())
  })
  await bench.startWorker({ handlers: [handler], concurrency: 50 })
  await bench.moca.connect()
  const from = performance.now()
  // More than one batch of the promoter.
  await bench.moca.queue.enqueueMany(
    job,
    Array.from({ length: 1_500 }, (_, payload) => ({ payload, delay: 100 })),
  )
  await bench.settled(1_500)
  assert.ok(first - from >= 99)
})

test('an instant in the past means at once', async () => {
  await using bench = openBench(redis)
  await bench.startWorker({ handlers: [handle(job, () => {})] })
  const { id } = await bench.moca.queue.enqueue(job, 1, { runAt: new Date(0) })
  await bench.moca.queue.enqueue(job, 2, { delay: 0 })
  await bench.settled(2)
  assert.equal((await bench.counts()).delayed, 0)
  assert.equal((await bench.moca.queue.inspect(id))?.status, 'completed')
})

test('a delayed job is seen, can be cancelled, and goes ahead of the backlog when it is due', async () => {
  await using bench = openBench(redis)
  const { queue } = bench.moca
  const runAt = new Date(Date.now() + 3_600_000)
  const far = await queue.enqueue(job, 'far', { runAt })
  const view = await queue.inspect(far.id)
  assert.deepEqual([view?.status, view?.dueAt?.getTime()], ['delayed', runAt.getTime()])
  assert.equal(await queue.cancel(far.id), 'cancelled')
  assert.equal(await queue.inspect(far.id), undefined)

  const due = await queue.enqueue(job, 'due', { delay: 1 })
  const idle = defineJob({ type: 'idle', queue: 'long' })
  const seen: unknown[] = []
  // A worker of another queue promotes nothing of this one.
  await bench.startWorker({ handlers: [handle(idle, () => {})] })
  await queue.enqueueMany(
    job,
    Array.from({ length: 300 }, (_, payload) => ({ payload })),
  )
  assert.equal((await queue.inspect(due.id))?.status, 'delayed')
  const handler = handle(job, async ({ payload }) => {
    if (payload === 0) await waitFor(async () => (await queue.inspect(due.id))?.status !== 'delayed')
    seen.push(payload)
  })
  await bench.startWorker({ handlers: [handler], ...KEEP_ORDER })
  await bench.settled(301)
  // Behind what had been fetched by then.
  assert.ok(seen.indexOf('due') < 100, `${seen.indexOf('due')} of 301`)
  assert.deepEqual(
    seen.filter((payload) => payload !== 'due'),
    Array.from({ length: 300 }, (_, payload) => payload),
  )
})

test('a job that was not started in time expires, and does not run', async () => {
  await using bench = openBench(redis)
  const { queue } = bench.moca
  const run: unknown[] = []
  const [late, inTime] = [
    await queue.enqueue(job, 'late', { expiresIn: 1 }),
    await queue.enqueue(job, 'in time', { expiresIn: '1h' }),
  ]
  const delayed = await queue.enqueue(job, 'delayed', { delay: 30, expiresIn: 5 })
  const view = await queue.inspect(inTime.id)
  assert.equal((view?.expiresAt?.getTime() ?? 0) - (view?.enqueuedAt?.getTime() ?? 0), 3_600_000)
  const expiry = Date.now() + 2
  await waitFor(() => Date.now() > expiry)
  await bench.startWorker({ handlers: [handle(job, ({ payload }) => void run.push(payload))] })
  await bench.settled(3)
  assert.deepEqual(run, ['in time'])
  const { completed, expired } = await bench.counts()
  assert.deepEqual({ completed, expired }, { completed: 1, expired: 2 })
  for (const { id } of [late, delayed]) assert.equal((await queue.inspect(id))?.status, 'expired')
})

test('a job that started in time does not expire between its attempts', async () => {
  await using bench = openBench(redis)
  const attempts: number[] = []
  const handler = handle(job, async ({ attempt, job: { enqueuedAt } }) => {
    attempts.push(attempt)
    if (attempt > 1) return
    await waitFor(() => Date.now() > enqueuedAt.getTime() + 1_000)
    throw new Error('too late to start, not too late to go on')
  })
  await bench.startWorker({ handlers: [handler] })
  await bench.moca.queue.enqueue(job, null, { expiresIn: 1_000 })
  await bench.settled(2)
  assert.deepEqual(attempts, [1, 2])
})

test('the key of an expired job goes to the next', async () => {
  await using bench = openBench(redis)
  const run: unknown[] = []
  await bench.moca.queue.enqueueMany(job, [
    { payload: 1, key: 'k', expiresIn: 0 },
    { payload: 2, key: 'k', expiresIn: 0 },
    { payload: 3, key: 'k' },
  ])
  await bench.startWorker({ handlers: [handle(job, ({ payload }) => void run.push(payload))] })
  await bench.settled(3)
  assert.deepEqual(run, [3])
})
