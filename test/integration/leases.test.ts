import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { defineJob, handle, LeaseLostError } from '../../src/index.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { waitFor } from '../support/wait-for.ts'
import { gate, openBench, type Workbench } from '../support/workbench.ts'

const job = defineJob({ type: 'a.b', retry: { delay: 0 } })
let redis: RedisServer
before(async () => {
  redis = await startRedis()
})
after(() => redis.stop())

type Pending = [entry: string, consumer: string, idleMs: number, times: number][]

function pending(bench: Workbench): Promise<Pending> {
  return bench.command<Pending>('XPENDING', ':q:default', 'w', '-', '+', '10')
}

test('a worker whose attempt went to another is told, and renews the lease of the other no more', async () => {
  await using bench = openBench(redis)
  const reasons: unknown[] = []
  const handler = handle(job, ({ signal }) => {
    const { promise, reject } = Promise.withResolvers<void>()
    signal.addEventListener('abort', () => {
      reasons.push(signal.reason)
      reject(signal.reason as Error)
    })
    return promise
  })
  const worker = await bench.startWorker({ handlers: [handler], lease: '1s' })
  await bench.moca.queue.enqueue(job, 1)
  await waitFor(() => worker.health().running === 1)
  const [[entry] = []] = await pending(bench)
  assert.ok(entry)
  // The same entry goes to another, as after a failover that forgot who had it. Its name begins like this worker's.
  const other = `${worker.id}0.1`
  await bench.command('XCLAIM', ':q:default', 'w', other, '0', entry)

  await waitFor(() => reasons.length === 1, { describe: 'the worker to be told' })
  assert.ok(reasons[0] instanceof LeaseLostError)
  await waitFor(() => bench.stale.length === 1, { describe: 'its outcome to be refused' })
  const renewedAgo = () => worker.health().lastRenewalAgeMs ?? Number.POSITIVE_INFINITY
  const toldAt = performance.now()
  await waitFor(() => renewedAgo() < performance.now() - toldAt, { describe: 'another renewal' })
  const held = await pending(bench)
  assert.deepEqual(
    held.map(([id, consumer]) => [id, consumer]),
    [[entry, other]],
  )
})

test('a worker with a short lease leaves alone what runs in a worker with a long one, and takes what a dead worker left', async () => {
  await using bench = openBench(redis)
  const { opened, open } = gate()
  const runs: unknown[] = []
  const long = handle(job, async ({ payload }) => {
    runs.push(payload)
    await opened
  })
  const slow = await bench.startWorker({ handlers: [long], lease: '1m' })
  await bench.moca.queue.enqueue(job, 'long')
  await waitFor(() => slow.health().running === 1)

  // Fetched later than the other, by a worker that dies at once and that the server never heard of.
  const left = defineJob({ type: 'left', queue: 'long' })
  await bench.moca.queue.enqueue(left, 'left')
  await bench.command('XREADGROUP', 'GROUP', 'w', 'dead-1.1', 'STREAMS', ':q:long', '>')
  const also = handle(job, ({ payload }) => void runs.push(payload))
  const rescued = handle(left, ({ payload }) => void runs.push(payload))
  await bench.startWorker({ handlers: [also, rescued], queues: ['default', 'long'], lease: '1s', sweepInterval: 50 })
  await waitFor(() => runs.includes('left'), { timeoutMs: 10_000, describe: 'the short lease to end and be noticed' })

  open()
  await bench.settled(2, 'completed')
  assert.deepEqual(runs, ['long', 'left'])
  assert.equal((await bench.counts('default')).rescued, 0)
  assert.equal((await bench.counts('long')).rescued, 1)
  assert.equal(bench.stale.length, 0)
})
