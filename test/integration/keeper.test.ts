import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Worker as Thread } from 'node:worker_threads'
import { defineJob, handle } from '../../src/index.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { waitFor } from '../support/wait-for.ts'
import { gate, openBench } from '../support/workbench.ts'

// The keeper's thread belongs to the library; node tells of every thread that a process makes.

/** Far longer than a busy machine takes to start a thread: only the next one's renewal is waited for. */
const LEASE_MS = 20_000
const job = defineJob({ type: 'a.b' })
const threads = new Set<Thread>()
let redis: RedisServer

process.on('worker', (thread) => {
  threads.add(thread)
  thread.once('exit', () => threads.delete(thread))
})
before(async () => {
  redis = await startRedis()
})
after(() => redis.stop())

async function endThread(): Promise<void> {
  const [thread] = threads
  assert.ok(thread)
  const ended = once(thread, 'exit')
  await thread.terminate()
  await ended
}

test('a thread that died is replaced, and keeps the leases of what runs', async () => {
  await using bench = openBench(redis)
  const hold = gate()
  const worker = await bench.startWorker({ handlers: [handle(job, () => hold.opened)], lease: LEASE_MS })
  await bench.moca.queue.enqueue(job, 1)
  await waitFor(() => worker.health().running === 1)
  await endThread()
  const diedAt = performance.now()
  await waitFor(() => (worker.health().lastRenewalAgeMs ?? Number.POSITIVE_INFINITY) < performance.now() - diedAt, {
    timeoutMs: LEASE_MS,
    describe: 'another thread to renew',
  })
  hold.open()
  await bench.settled(1, 'completed')
  assert.equal(bench.stale.length, 0)
})

test('delayed jobs start though the thread died while they waited', async () => {
  await using bench = openBench(redis)
  await bench.startWorker({ handlers: [handle(job, () => {})], lease: LEASE_MS })
  await bench.moca.queue.enqueue(job, 1, { delay: 600 })
  await endThread()
  await bench.settled(1, 'completed')
})

test('no thread is left when a worker is stopped just after its thread died', async () => {
  await using bench = openBench(redis)
  const worker = await bench.startWorker({ handlers: [handle(job, () => {})], lease: LEASE_MS })
  await endThread()
  assert.equal(threads.size, 0)
  await worker.stop()
  await sleep(300) // longer than the pause before another thread is started: none must come
  assert.equal(threads.size, 0)
})
