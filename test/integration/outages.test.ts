import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMoca, createWorker, defineJob, handle, type Loss } from '../../src/index.ts'
import { startRedis } from '../support/redis-server.ts'
import { waitFor } from '../support/wait-for.ts'
import { gate, openBench } from '../support/workbench.ts'

// Each test has a server of its own: it is restarted, or away.

const job = defineJob({ type: 'job', retry: { delay: 0 } })
const many = (count: number) => Array.from({ length: count }, (_, payload) => ({ payload }))

async function ownRedis(options: Parameters<typeof startRedis>[0] = {}) {
  const redis = await startRedis(options)
  return Object.assign(redis, { [Symbol.asyncDispose]: () => redis.stop() })
}

test('work goes on after a restart of Redis, without restarting a process', async () => {
  await using redis = await ownRedis({ fsync: 'always' })
  await using bench = openBench(redis)
  const runs = new Map<unknown, number>()
  const { opened, open } = gate()
  const handler = handle(job, async ({ payload }) => {
    runs.set(payload, (runs.get(payload) ?? 0) + 1)
    if (payload === 'held') await opened
  })
  const worker = await bench.startWorker({ handlers: [handler] })
  await bench.moca.queue.enqueue(job, 'held')
  await bench.moca.queue.enqueueMany(job, many(50))
  await bench.settled(50)
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    await redis.kill(signal)
    await waitFor(() => !worker.health().isConnected)
    await redis.start()
    const { status } = await bench.moca.queue.enqueue(job, signal)
    assert.equal(status, 'enqueued')
    await bench.moca.queue.enqueue(job, `${signal} delayed`, { delay: 20 })
    await waitFor(() => runs.has(`${signal} delayed`), { timeoutMs: 10_000 })
  }
  // What ran all the time is still its own, and counts.
  open()
  // Not by the events: an outcome whose answer was lost is known to have arrived only because it is refused the second time.
  await waitFor(async () => (await bench.counts()).completed === 55, { timeoutMs: 10_000 })
  assert.ok([...runs.values()].every((count) => count === 1))
  const { stale, rescued, retried } = await bench.counts()
  assert.deepEqual({ stale, rescued, retried }, { stale: 0, rescued: 0, retried: 0 })
})

test('a worker waits for a server that is not there yet, and can be stopped while it waits', async () => {
  await using redis = await ownRedis()
  await redis.kill('SIGKILL')
  const moca = createMoca({ namespace: 'early', redis: { url: redis.url } })
  let runs = 0
  const handler = handle(job, () => void runs++)
  const options = { handlers: [handler], softTimeout: 0, stopTimeout: '1s' } as const
  const [impatient, worker] = [createWorker(moca, options), createWorker(moca, options)]
  const gaveUp = impatient.start()
  const started = worker.start()
  assert.equal(worker.health().isConnected, false)
  await impatient.stop()
  await gaveUp
  await redis.start()
  await started
  await moca.queue.enqueue(job, 1)
  await waitFor(() => runs === 1)
  await worker.stop()
  await moca.close()
})

test('an enqueue begun while Redis is away is accepted when it comes back in time', async () => {
  await using redis = await ownRedis()
  await redis.kill('SIGKILL')
  await using bench = openBench(redis)
  const waiting = [bench.moca.queue.enqueue(job, 1), bench.moca.queue.enqueueMany(job, many(3))] as const
  await redis.start()
  const [one, three] = await Promise.all(waiting)
  assert.deepEqual([one.status, three.length], ['enqueued', 3])
  assert.equal((await bench.counts()).accepted, 4)
})

test('an enqueueMany that is refused while Redis is away says so once, and breaks nothing', async () => {
  await using redis = await ownRedis()
  await redis.kill('SIGKILL')
  await using bench = openBench(redis, { queue: { maxPendingJobs: 1_500, enqueueTimeout: 200 } })
  bench.skipBalance()
  // A rejection that nobody hears would end this process: the second thousand is refused before the first has failed.
  await assert.rejects(bench.moca.queue.enqueueMany(job, many(3_000)), (error: { facts: { accepted: unknown[] } }) => {
    assert.deepEqual(error.facts.accepted, [])
    return true
  })
  await new Promise(setImmediate)
})

test('a server that forgot everything is noticed, with how much and from when to when, and work goes on', async () => {
  await using redis = await ownRedis()
  const losses: Loss[] = []
  await using bench = openBench(redis, { onLoss: (loss) => losses.push(loss) })
  bench.skipBalance() // the counters of the queue are forgotten as well
  const before = Date.now()
  await bench.moca.queue.enqueueMany(job, many(40))
  await bench.moca.queue.enqueue(job, 1, { queue: 'long' })
  await redis.restart() // keeps nothing
  const seen: unknown[] = []
  await bench.startWorker({ handlers: [handle(job, ({ payload }) => void seen.push(payload))] })
  await bench.moca.queue.enqueue(job, 'new')
  await bench.settled(1, 'completed')
  assert.deepEqual(seen, ['new'])
  const found = Object.fromEntries(losses.map((loss) => [loss.queue, loss]))
  assert.deepEqual([losses.length, found.default?.lost, found.long?.lost], [2, 40, 1])
  for (const { from, to } of losses) {
    assert.ok(from.getTime() <= to.getTime())
    assert.ok(to.getTime() >= before - 1_000 && to.getTime() <= Date.now() + 1_000)
  }
  const reports = await bench.moca.queue.losses()
  assert.deepEqual(
    new Map(reports.map(({ queue, lost }) => [queue, lost])),
    new Map([
      ['default', 40],
      ['long', 1],
    ]),
  )
})

test('a restart that keeps everything is no loss', async () => {
  await using redis = await ownRedis({ fsync: 'always' })
  const losses: Loss[] = []
  await using bench = openBench(redis, { onLoss: (loss) => losses.push(loss) })
  await bench.moca.queue.enqueueMany(job, many(40))
  await redis.kill('SIGKILL')
  await redis.start()
  await bench.moca.queue.enqueue(job, 'new')
  assert.deepEqual([losses, await bench.moca.queue.losses()], [[], []])
})

test('a server emptied under a running process is opened anew', async () => {
  await using redis = await ownRedis()
  await using bench = openBench(redis)
  bench.skipBalance()
  let runs = 0
  await bench.startWorker({ handlers: [handle(job, () => void runs++)] })
  await bench.moca.queue.enqueueMany(job, many(5))
  await bench.settled(5)
  await redis.cli(['FLUSHALL'])
  assert.equal((await bench.moca.queue.enqueue(job, 1)).status, 'enqueued')
  await waitFor(() => runs === 6, { timeoutMs: 10_000 })
})

test('what an emptied server forgot is noticed, too, by a process that another had been before in opening it', async () => {
  await using redis = await ownRedis()
  const losses: Loss[] = []
  await using bench = openBench(redis, { onLoss: (loss) => losses.push(loss) })
  bench.skipBalance()
  await bench.moca.queue.enqueueMany(job, many(5))
  await redis.cli(['FLUSHALL'])
  await bench.openMoca().queue.enqueue(job, 'of another process')
  await bench.moca.queue.enqueue(job, 'new')
  await waitFor(() => losses.length > 0, { describe: 'the loss to be told' })
  assert.deepEqual(
    losses.map(({ queue, lost }) => [queue, lost]),
    [['default', 5]],
  )
  assert.equal((await bench.counts()).waiting, 2)
})

test('a server that is full refuses jobs and loses none; those that are there can be finished', async () => {
  await using redis = await ownRedis()
  await using bench = openBench(redis)
  await bench.moca.queue.enqueueMany(job, many(20))
  await redis.cli(['CONFIG', 'SET', 'maxmemory', '1'])
  await assert.rejects(bench.moca.queue.enqueue(job, 'x'), { code: 'redis_refused', mayHaveBeenApplied: false })
  await assert.rejects(bench.moca.queue.enqueueMany(job, many(3)), { code: 'redis_refused', mayHaveBeenApplied: false })
  const handler = handle(job, ({ payload, attempt }) => {
    if (payload === 3 && attempt === 1) throw new Error('retried in a full server')
  })
  await bench.startWorker({ handlers: [handler] })
  await bench.settled(20, 'completed')
  assert.equal((await bench.counts()).accepted, 20)
  await redis.cli(['CONFIG', 'SET', 'maxmemory', '0'])
  await bench.moca.queue.enqueue(job, 'y')
  await bench.settled(21, 'completed')
})
