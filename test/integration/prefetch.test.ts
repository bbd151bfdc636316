import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { defineJob, handle } from '../../src/index.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { waitFor } from '../support/wait-for.ts'
import { block, gate, openBench, type Workbench } from '../support/workbench.ts'

let redis: RedisServer
before(async () => {
  redis = await startRedis()
})
after(() => redis.stop())

const job = defineJob({ type: 'quick' })

/** Makes a worker fast enough to fetch ahead: it has run many short jobs. */
async function warm(bench: Workbench, count = 3_000): Promise<void> {
  await bench.moca.queue.enqueueMany(
    job,
    Array.from({ length: count }, (_, payload) => ({ payload })),
  )
}

test('a slow job does not hold up those fetched behind it: they are handed back, and another worker runs them', async () => {
  await using bench = openBench(redis)
  const { opened, open } = gate()
  const ran: string[] = []
  const handler = handle(job, async ({ payload }) => {
    if (payload === 'slow') await opened
    else if (typeof payload === 'string') ran.push(payload)
  })
  const first = await bench.startWorker({ handlers: [handler], concurrency: 1 })
  // Warm, fast, with a backlog: it fetches ahead. Then comes the slow one.
  await warm(bench)
  await bench.moca.queue.enqueue(job, 'slow')
  await bench.moca.queue.enqueueMany(
    job,
    Array.from({ length: 50 }, (_, n) => ({ payload: `behind ${n}` })),
  )
  await bench.settled(3_000)
  await waitFor(() => first.health().running === 1)
  const second = await bench.startWorker({ handlers: [handler], concurrency: 1 })
  await bench.settled(3_050)
  assert.equal(first.health().running, 1)
  assert.ok(bench.events.slice(-40).every(({ worker }) => worker === second))
  assert.equal(new Set(ran).size, 50)
  open()
  await bench.settled(3_051)
  // Handed back uncharged: every one of them was a first attempt.
  assert.ok(bench.events.every(({ attempt }) => attempt === 1))
  const { completed, stale } = await bench.counts()
  assert.deepEqual({ completed, stale }, { completed: 3_051, stale: 0 })
})

test('what is held unstarted is handed back also while the event loop is blocked', async () => {
  await using bench = openBench(redis)
  const handled: string[] = []
  // Those that block come in the midst of many that are read at once, and block for longer than the keeper waits.
  const blocking = handle(job, ({ payload }) => {
    if (Number(payload) % 120 === 60) block(200)
    handled.push(String(payload))
  })
  await bench.moca.queue.enqueueMany(
    job,
    Array.from({ length: 600 }, (_, payload) => ({ payload })),
  )
  await bench.startWorker({ handlers: [blocking], concurrency: 1 })
  await bench.settled(600)
  assert.ok(bench.returned > 0, 'nothing was handed back')
  assert.equal(new Set(handled).size, 600)
  assert.equal(handled.length, 600)
  assert.ok(bench.events.every(({ attempt }) => attempt === 1))
  const { released, stale, completed } = await bench.counts()
  assert.ok(released > 0)
  assert.deepEqual({ completed, stale }, { completed: 600, stale: 0 })
})

test('a worker does not fetch ahead of slow jobs', async () => {
  await using bench = openBench(redis)
  const { opened, open } = gate()
  let running = 0
  const handler = handle(job, async () => {
    running++
    await opened
  })
  await bench.moca.queue.enqueueMany(
    job,
    Array.from({ length: 50 }, (_, payload) => ({ payload })),
  )
  const worker = await bench.startWorker({ handlers: [handler], concurrency: 5 })
  await waitFor(() => running === 5)
  // Every lane is full: nothing more is fetched, and so nothing ever goes back.
  await waitFor(() => worker.health().buffered === 0)
  const { active, waiting } = await bench.counts()
  assert.deepEqual([active, waiting, bench.returned], [5, 45, 0])
  open()
  await bench.settled(50)
})

test('jobs are shared by the workers that have room', async () => {
  await using bench = openBench(redis)
  const { opened, open } = gate()
  let running = 0
  const handler = handle(job, async () => {
    running++
    await opened
  })
  const options = { handlers: [handler], concurrency: 2 }
  const workers = await Promise.all([1, 2, 3].map(() => bench.startWorker(options)))
  await bench.moca.queue.enqueueMany(
    job,
    Array.from({ length: 6 }, (_, payload) => ({ payload })),
  )
  await waitFor(() => running === 6)
  assert.deepEqual(
    workers.map((worker) => worker.health().running),
    [2, 2, 2],
  )
  open()
  await bench.settled(6)
})

test('thousands of short jobs run once each, whoever fetches them', async () => {
  await using bench = openBench(redis)
  const runs = new Map<unknown, number>()
  const handler = handle(job, ({ payload }) => {
    runs.set(payload, (runs.get(payload) ?? 0) + 1)
    if (Number(payload) % 500 === 0) block(60)
  })
  for (let count = 0; count < 3; count++) await bench.startWorker({ handlers: [handler] })
  await warm(bench, 6_000)
  await bench.settled(6_000, 'completed', { timeoutMs: 30_000 })
  assert.equal(runs.size, 6_000)
  assert.ok([...runs.values()].every((count) => count === 1))
})
