import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defineJob, handle } from '../../../src/index.ts'
import type { Worker } from '../../../src/queue/worker/worker.ts'
import { proxiedRedis } from '../../support/proxied-redis.ts'
import { waitFor } from '../../support/wait-for.ts'
import { gate, openBench, type Workbench } from '../../support/workbench.ts'

// A session broke, and the next one begins at once: within the time for which the server lets the old one wait in its read, and with
// jobs that go on running.

const LEASE = '1m' // nothing here is mended by a lease that ends
const job = defineJob({ type: 'a.b' })
const servers = proxiedRedis()

/** Ids of the connections on which the server lets this worker wait for a job. */
async function waitingReads(bench: Workbench, worker: Worker): Promise<string[]> {
  const list = await bench.command<string>('CLIENT', 'LIST')
  return list.split('\n').flatMap((line) => {
    const isIts = line.includes(`name=moca:${worker.id}:read `) && / flags=\w*b/.test(line)
    return isIts ? [/^id=(\d+)/.exec(line)?.[1] ?? ''] : []
  })
}

/** Breaks the session of a worker and waits until the next one waits for jobs. */
async function breakSession(bench: Workbench, worker: Worker): Promise<void> {
  const before = await waitingReads(bench, worker)
  servers.proxy.cut(/:work$/)
  await waitFor(async () => (await waitingReads(bench, worker)).some((id) => !before.includes(id)), {
    describe: 'the next session to wait for jobs',
  })
}

test('attack 7: a dead connection that waits in a read gets no job once the next session has begun', async () => {
  await using bench = openBench({ url: servers.proxy.url })
  const runs: unknown[] = []
  const worker = await bench.startWorker({
    handlers: [handle(job, ({ payload }) => void runs.push(payload))],
    lease: LEASE,
  })
  await waitFor(async () => (await waitingReads(bench, worker)).length === 1, {
    describe: 'the worker to wait for jobs',
  })
  // The end of the connection does not reach the server: there it goes on waiting, ahead of the next one.
  servers.proxy.setFaults({ kind: 'hole', isForOldOnly: true, name: /:read$/ })
  await breakSession(bench, worker)
  await bench.moca.queue.enqueueMany(job, [{ payload: 1 }, { payload: 2 }])
  await bench.settled(2, 'completed', { timeoutMs: 3_000 })
  assert.deepEqual(
    runs.toSorted((a, b) => Number(a) - Number(b)),
    [1, 2],
  )
  assert.equal((await bench.counts()).released, 0)
  servers.proxy.heal()
})

test('attack 7: the next session takes over what really runs, before it reads, and hands none of it back', async () => {
  await using bench = openBench({ url: servers.proxy.url })
  const { opened, open } = gate()
  let runs = 0
  const handler = handle(job, async () => {
    runs++
    await opened
  })
  const worker = await bench.startWorker({ handlers: [handler], lease: LEASE, concurrency: 5 })
  await bench.moca.queue.enqueueMany(job, [{ payload: 1 }, { payload: 2 }, { payload: 3, key: 'k' }])
  await waitFor(() => runs === 3)
  await waitFor(async () => (await waitingReads(bench, worker)).length === 1, {
    describe: 'the worker to wait for jobs',
  })
  for (const session of [2, 3]) {
    await breakSession(bench, worker)
    const pending = await bench.command<[string, string][]>('XPENDING', ':q:default', 'w', '-', '+', '10')
    assert.deepEqual(
      pending.map(([, consumer]) => consumer),
      Array.from({ length: 3 }, () => `${worker.id}.${session}`),
    )
    const consumers = await bench.command<string[][]>('XINFO', 'CONSUMERS', ':q:default', 'w')
    assert.equal(consumers.length, 1, 'nothing is left of the session before')
  }
  open()
  await bench.settled(3, 'completed')
  assert.equal(runs, 3)
  const { released, rescued, stale } = await bench.counts()
  assert.deepEqual({ released, rescued, stale }, { released: 0, rescued: 0, stale: 0 })
})
