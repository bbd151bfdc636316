import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { defineJob, handle } from '../../src/index.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { waitFor } from '../support/wait-for.ts'
import { block, gate, KEEP_ORDER, openBench } from '../support/workbench.ts'

let redis: RedisServer
before(async () => {
  redis = await startRedis()
})
after(() => redis.stop())

const NAMES = ['critical', 'default', 'long'] as const
const jobs = NAMES.map((queue) => defineJob({ type: `in.${queue}`, queue }))

function tally(order: readonly string[]): number[] {
  return NAMES.map((name) => order.filter((queue) => queue === name).length)
}

for (const kind of ['synchronous', 'asynchronous'] as const) {
  test(`queues with a backlog share a busy process by their weights, 6:3:1 (${kind} handlers)`, async () => {
    await using bench = openBench(redis)
    const order: string[] = []
    const work = (queue: string) => {
      block(1)
      order.push(queue)
    }
    const handlers = jobs.map((job) =>
      handle(job, kind === 'synchronous' ? () => work(job.queue) : async () => work(job.queue)),
    )
    for (const job of jobs) {
      await bench.moca.queue.enqueueMany(
        job,
        Array.from({ length: 1_500 }, (_, payload) => ({ payload })),
      )
    }
    await bench.startWorker({ handlers })
    await waitFor(() => order.length >= 1_200, { timeoutMs: 30_000 })
    // After the start, and while all three still have a backlog.
    const shares = tally(order.slice(200, 1_200)).map((count) => count / 1_000)
    const told = shares.join(', ')
    assert.ok(Math.abs((shares[0] ?? 0) - 0.6) < 0.12, told)
    assert.ok(Math.abs((shares[1] ?? 0) - 0.3) < 0.1, told)
    assert.ok(Math.abs((shares[2] ?? 0) - 0.1) < 0.06, told)
    await bench.stopWorkers()
  })
}

test('a queue alone gets everything, whatever its weight', async () => {
  await using bench = openBench(redis)
  let done = 0
  const handlers = jobs.map((job) => handle(job, () => void done++))
  await bench.startWorker({ handlers })
  await bench.moca.queue.enqueueMany(
    jobs[2] as (typeof jobs)[0],
    Array.from({ length: 2_000 }, (_, payload) => ({ payload })),
  )
  await bench.settled(2_000)
  assert.equal(done, 2_000)
})

test('with strict, a queue waits while one of a higher weight has jobs', async () => {
  await using bench = openBench(redis)
  const order: string[] = []
  const handlers = jobs.map((job) =>
    handle(job, () => {
      block(1)
      order.push(job.queue)
    }),
  )
  for (const job of jobs.toReversed()) {
    await bench.moca.queue.enqueueMany(
      job,
      Array.from({ length: 300 }, (_, payload) => ({ payload })),
    )
  }
  await bench.startWorker({ handlers, strict: true })
  await bench.settled(900, 'completed', { timeoutMs: 30_000 })
  // Whatever is already there goes first; a few slip through while the process fetches.
  const [critical = 0] = tally(order.slice(0, 300))
  const [, normal = 0] = tally(order.slice(300, 600))
  assert.ok(critical >= 270, `${critical} of the first 300`)
  assert.ok(normal >= 250, `${normal} of the second 300`)
})

test('long jobs never hold up critical ones: every queue has places of its own', async () => {
  await using bench = openBench(redis)
  const { opened, open } = gate()
  const [critical, , long] = jobs as [(typeof jobs)[0], (typeof jobs)[0], (typeof jobs)[0]]
  let running = 0
  const handlers = [
    handle(critical, () => {}),
    handle(long, async () => {
      running++
      await opened
    }),
  ]
  const worker = await bench.startWorker({
    handlers,
    queues: { critical: { concurrency: 2 }, long: { concurrency: 3 } },
  })
  await bench.moca.queue.enqueueMany(
    long,
    Array.from({ length: 20 }, (_, payload) => ({ payload })),
  )
  await waitFor(() => running === 3)
  for (let round = 1; round <= 10; round++) {
    await bench.moca.queue.enqueueMany(critical, [{ payload: 1 }, { payload: 2 }])
    await bench.settled(round * 2, 'completed')
  }
  assert.deepEqual([running, worker.health().running], [3, 3])
  open()
  await bench.settled(40, 'completed')
})

test('no more than the concurrency of a queue run at once', async () => {
  await using bench = openBench(redis)
  const most = new Map<string, number>()
  const running = new Map<string, number>()
  const handlers = jobs.map((job) =>
    handle(job, async () => {
      const now = (running.get(job.queue) ?? 0) + 1
      running.set(job.queue, now)
      most.set(job.queue, Math.max(now, most.get(job.queue) ?? 0))
      await new Promise(setImmediate)
      running.set(job.queue, (running.get(job.queue) ?? 0) - 1)
    }),
  )
  for (const job of jobs) {
    await bench.moca.queue.enqueueMany(
      job,
      Array.from({ length: 100 }, (_, payload) => ({ payload })),
    )
  }
  await bench.startWorker({
    handlers,
    concurrency: 7,
    queues: { critical: { concurrency: 5 }, default: {}, long: { concurrency: 1 } },
  })
  await bench.settled(300)
  assert.deepEqual(
    NAMES.map((name) => most.get(name)),
    [5, 7, 1],
  )
})

test('a worker may serve many queues', async () => {
  await using bench = openBench(redis)
  const many = Array.from({ length: 40 }, (_, index) => defineJob({ type: 'many', queue: `q${index}` }))
  const seen: string[] = []
  const handler = handle(many[0] as (typeof many)[0], ({ job }) => void seen.push(job.queue))
  await bench.startWorker({ handlers: [handler], queues: many.map(({ queue }) => queue) })
  for (const job of many) await bench.moca.queue.enqueue(job, 1)
  await bench.settled(40)
  assert.equal(new Set(seen).size, 40)
})

test('a retried, released or rescued job goes ahead of the backlog, which does not starve', async () => {
  await using bench = openBench(redis)
  const [, job] = jobs as [(typeof jobs)[0], (typeof jobs)[0]]
  const seen: number[] = []
  const failed = new Set<number>()
  const handler = handle({ ...job, retry: { ...job.retry, delayMs: 0 } }, ({ payload }) => {
    const n = Number(payload)
    if (n < 5 && !failed.has(n)) {
      failed.add(n)
      throw new Error('again')
    }
    block(0.5)
    seen.push(n)
  })
  await bench.moca.queue.enqueueMany(
    job,
    Array.from({ length: 1_000 }, (_, payload) => ({ payload })),
  )
  await bench.startWorker({ handlers: [handler], ...KEEP_ORDER })
  await bench.settled(1_000, 'completed', { timeoutMs: 20_000 })
  const last = Math.max(...[0, 1, 2, 3, 4].map((n) => seen.indexOf(n)))
  assert.ok(last < 500, `the last of them was number ${last} of 1,000`)
  assert.deepEqual(
    seen.filter((n) => n >= 5),
    Array.from({ length: 995 }, (_, index) => index + 5),
  )
})
