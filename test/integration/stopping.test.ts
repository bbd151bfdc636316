import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { defineJob, handle, type HandlerContext } from '../../src/index.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { waitFor } from '../support/wait-for.ts'
import { gate, openBench, type Workbench } from '../support/workbench.ts'

let redis: RedisServer
before(async () => {
  redis = await startRedis()
})
after(() => redis.stop())

const job = defineJob({ type: 'work', retry: { delay: 0 } })
const many = (count: number) => Array.from({ length: count }, (_, payload) => ({ payload }))

async function consumers(bench: Workbench): Promise<string[]> {
  const names: string[] = []
  for (const stream of [':q:default', ':q:default:front', ':q:default:suspect']) {
    for (const consumer of await bench.command<string[][]>('XINFO', 'CONSUMERS', stream, 'w'))
      names.push(consumer[1] ?? '')
  }
  return names
}

test('a running job may finish, and nothing new starts', async () => {
  await using bench = openBench(redis)
  const { opened, open } = gate()
  const started: unknown[] = []
  const handler = handle(job, async ({ payload, signal }) => {
    started.push(payload)
    await opened
    assert.equal(signal.aborted, false)
  })
  const worker = await bench.startWorker({
    handlers: [handler],
    concurrency: 2,
    softTimeout: '20s',
    stopTimeout: '25s',
  })
  await bench.moca.queue.enqueueMany(job, many(10))
  await waitFor(() => started.length === 2)
  const stopped = worker.stop()
  await bench.moca.queue.enqueue(job, 'late')
  open()
  await stopped
  assert.deepEqual(started, [0, 1])
  assert.deepEqual(
    bench.events.filter(({ outcome }) => outcome === 'completed').map(({ attempt }) => attempt),
    [1, 1],
  )
  const { completed, waiting, active } = await bench.counts()
  assert.deepEqual({ completed, waiting, active }, { completed: 2, waiting: 9, active: 0 })
})

test('after the soft timeout the signal aborts, and a job that gives up is released to others, uncharged', async () => {
  await using bench = openBench(redis)
  const runs: Pick<HandlerContext, 'attempt' | 'job'>[] = []
  const handler = handle(job, async ({ signal, attempt, job: info }) => {
    runs.push({ attempt, job: info })
    if (runs.length > 1) return
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
    signal.throwIfAborted()
  })
  const first = await bench.startWorker({ handlers: [handler], softTimeout: 10 })
  await bench.startWorker({ handlers: [handler], concurrency: 1 })
  await bench.moca.queue.enqueueMany(job, many(1))
  await waitFor(() => runs.length === 1)
  const [holder, other] = first.health().running === 1 ? bench.workers : bench.workers.toReversed()
  await holder?.stop()
  await bench.settled(1, 'completed')
  assert.equal(bench.events.at(-1)?.worker, other)
  assert.deepEqual(
    runs.map(({ attempt, job: { releases, stalls } }) => ({ attempt, releases, stalls })),
    [
      { attempt: 1, releases: 0, stalls: 0 },
      { attempt: 1, releases: 1, stalls: 0 },
    ],
  )
  const { released, retried, rescued } = await bench.counts()
  assert.deepEqual({ released, retried, rescued }, { released: 1, retried: 0, rescued: 0 })
})

test('what ignores the signal is handed back when the stop takes too long, and its late result changes nothing', async () => {
  await using bench = openBench(redis)
  const { opened, open } = gate()
  let runs = 0
  const handler = handle(job, async () => {
    if (++runs === 1) await opened
  })
  const worker = await bench.startWorker({ handlers: [handler], softTimeout: 0, stopTimeout: 50 })
  await bench.moca.queue.enqueue(job, 1)
  await waitFor(() => runs === 1)
  await worker.stop()
  assert.equal((await bench.counts()).waiting, 1)
  await bench.startWorker({ handlers: [handler] })
  await bench.settled(1, 'completed')
  open()
  await waitFor(() => worker.health().running === 0)
  const { completed, stale } = await bench.counts()
  assert.deepEqual({ completed, stale }, { completed: 1, stale: 0 })
})

test('what was fetched and not started goes back at once, in order and uncharged', async () => {
  await using bench = openBench(redis)
  const { opened, open } = gate()
  const seen: unknown[] = []
  const handler = handle(job, async ({ payload }) => {
    if (payload === 1_500) await opened
    seen.push(payload)
  })
  // Fast enough to fetch ahead; then one job keeps its only place.
  const first = await bench.startWorker({
    handlers: [handler],
    concurrency: 1,
    handBack: '5s',
    softTimeout: '10s',
    stopTimeout: '20s',
  })
  await bench.moca.queue.enqueueMany(job, many(1_600))
  await bench.settled(1_500)
  const stopped = first.stop()
  await waitFor(() => first.health().buffered === 0)
  open()
  await stopped
  await bench.startWorker({ handlers: [handler], concurrency: 1 })
  await bench.settled(1_600, 'completed')
  assert.equal(new Set(seen).size, 1_600)
  assert.equal(seen.length, 1_600)
  assert.ok(bench.events.every(({ attempt }) => attempt === 1))
})

test('nothing of a stopped worker stays in Redis', async () => {
  await using bench = openBench(redis)
  const worker = await bench.startWorker({ handlers: [handle(job, () => {})] })
  await bench.moca.queue.enqueueMany(job, many(20))
  await bench.settled(20)
  await waitFor(async () => (await bench.moca.queue.workers()).length === 1)
  assert.ok((await consumers(bench)).every((name) => name.startsWith(worker.id)))
  await worker.stop()
  assert.deepEqual(await consumers(bench), [])
  assert.deepEqual(await bench.moca.queue.workers(), [])
  assert.deepEqual(await bench.keys('workers*'), [])
})

test('a worker is known while it runs, with what it does', async () => {
  await using bench = openBench(redis)
  const handlers = [handle(job, () => {})]
  const [a, b] = [
    await bench.startWorker({ handlers }),
    await bench.startWorker({ handlers, queues: ['long', 'default'] }),
  ]
  assert.notEqual(a.id, b.id)
  const workers = await waitFor(async () => {
    const found = await bench.moca.queue.workers()
    return found.length === 2 ? found : undefined
  })
  const known = new Map(workers.map((worker) => [worker.id, worker]))
  assert.deepEqual(new Set(known.keys()), new Set([a.id, b.id]))
  assert.equal(known.get(a.id)?.about.pid, process.pid)
  assert.deepEqual(new Set(known.get(b.id)?.about.queues as string[]), new Set(['long', 'default']))
  assert.ok(Math.abs((known.get(a.id)?.seenAt?.getTime() ?? 0) - Date.now()) < 60_000)
  const { isConnected, running, buffered, unsettled } = a.health()
  assert.deepEqual(
    { isConnected, running, buffered, unsettled },
    { isConnected: true, running: 0, buffered: 0, unsettled: 0 },
  )
  await waitFor(() => a.health().lastRenewalAgeMs !== undefined)
})

test('stopping twice, together or one after another, is harmless', async () => {
  await using bench = openBench(redis)
  const worker = await bench.startWorker({ handlers: [handle(job, () => {})] })
  await Promise.all([worker.stop(), worker.stop()])
  await worker.stop()
  await worker[Symbol.asyncDispose]()
  assert.equal(worker.health().isConnected, false)
})

test('starting twice is harmless', async () => {
  await using bench = openBench(redis)
  const worker = bench.worker({ handlers: [handle(job, () => {})] })
  await Promise.all([worker.start(), worker.start()])
  await worker.start()
  await bench.moca.queue.enqueueMany(job, many(10))
  await bench.settled(10)
  assert.equal((await bench.counts()).completed, 10)
})

test('a worker that was never started stops, and does not start any more', async () => {
  await using bench = openBench(redis)
  const worker = bench.worker({ handlers: [handle(job, () => {})] })
  await worker.stop()
  await assert.rejects(worker.start(), { code: 'closed' })
  await worker.stop()
  assert.equal(worker.health().isConnected, false)
})

test('a stopped worker does not start again', async () => {
  await using bench = openBench(redis)
  const worker = await bench.startWorker({ handlers: [handle(job, () => {})] })
  await worker.stop()
  await assert.rejects(worker.start(), { code: 'closed' })
})

test('stopping at any moment of the start ends it', async () => {
  await using bench = openBench(redis)
  const handlers = [handle(job, () => {})]
  for (const turns of [0, 1, 5, 20, 50, 100, 200, 400]) {
    const worker = bench.worker({ handlers })
    const started = worker.start()
    for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate)
    await worker.stop()
    await started
  }
  assert.deepEqual(await bench.moca.queue.workers(), [])
})

test('workers that come and go all the time lose nothing and charge nothing', async () => {
  await using bench = openBench(redis)
  const runs = new Map<unknown, number>()
  const done = new AbortController()
  const handler = handle(job, async ({ payload, attempt }) => {
    assert.equal(attempt, 1)
    await new Promise(setImmediate)
    runs.set(payload, (runs.get(payload) ?? 0) + 1)
  })
  const options = { handlers: [handler], concurrency: 5, softTimeout: 200 }
  const churn = async () => {
    while (!done.signal.aborted) {
      const worker = await bench.startWorker(options)
      const goal = bench.events.length + 100
      await waitFor(() => done.signal.aborted || bench.events.length >= goal)
      await worker.stop()
    }
  }
  await bench.moca.queue.enqueueMany(job, [
    ...many(1_500),
    ...many(200).map(({ payload }) => ({ payload: payload + 5_000, key: `k${payload % 4}` })),
  ])
  const churning = [churn(), churn()]
  await bench.settled(1_700, 'completed', { timeoutMs: 40_000 })
  done.abort()
  await Promise.all(churning)
  assert.ok(bench.workers.length >= 6, `${bench.workers.length} workers`)
  assert.deepEqual([runs.size, [...runs.values()].every((count) => count === 1)], [1_700, true])
  const { completed, retried, rescued, dead } = await bench.counts()
  assert.deepEqual({ completed, retried, rescued, dead }, { completed: 1_700, retried: 0, rescued: 0, dead: 0 })
})
