import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { defineJob, handle } from '../../../src/index.ts'
import { proxiedRedis } from '../../support/proxied-redis.ts'
import { waitFor } from '../../support/wait-for.ts'
import { gate, openBench } from '../../support/workbench.ts'

// After an outage some come back sooner than others. Who sweeps at once takes over the living that are on their way.

const LEASE_MS = 2_000
const job = defineJob({ type: 'a.b', retry: { delay: 0 } })
const left = defineJob({ type: 'left', queue: 'long' })
const servers = proxiedRedis()

test('attack 8: after Redis stood still a worker does not sweep before the others had a lease to come back', async () => {
  await using bench = openBench(servers.redis)
  const { opened, open } = gate()
  const runs: unknown[] = []
  const handler = handle(job, async ({ payload }) => {
    runs.push(payload)
    await opened
  })
  const rescued = handle(left, ({ payload }) => void runs.push(payload))
  const options = { lease: LEASE_MS, sweepInterval: 100, concurrency: 2 }
  const sweeper = await bench.startWorker({ ...options, handlers: [handler, rescued], queues: ['default', 'long'] })
  const away = bench.openMoca({ redis: { url: servers.proxy.url } })
  const other = await bench.startWorker({ ...options, handlers: [handler] }, away)
  await bench.moca.queue.enqueueMany(job, [{ payload: 1 }, { payload: 2 }, { payload: 3 }, { payload: 4 }])
  await waitFor(() => sweeper.health().running === 2 && other.health().running === 2, { describe: 'both to be busy' })
  // Time for the sweeper to be allowed to sweep: it takes what a worker left that died before.
  const leave = async (payload: string) => {
    const [[entry] = []] = await bench.command<[string][]>('XRANGE', ':q:long', '-', '+')
    assert.equal(entry, undefined)
    // In one step: the sweeper waits for jobs of this queue.
    await bench.command(
      'EVAL',
      `local id = redis.call('XADD', KEYS[1], '*', 't', 'left', 'o', '', 'd', ARGV[1])
       redis.call('XREADGROUP', 'GROUP', 'w', 'dead-1.1', 'STREAMS', KEYS[1], '>')
       redis.call('HINCRBY', KEYS[1] .. ':n', 'accepted', 1)`,
      '1',
      ':q:long',
      JSON.stringify(payload),
    )
  }
  await leave('first')
  await waitFor(() => runs.includes('first'), { timeoutMs: LEASE_MS * 5, describe: 'the sweeper to sweep' })
  await bench.settled(1, 'completed')
  await leave('second')

  servers.proxy.setFaults({ kind: 'hole' })
  await servers.redis.kill('SIGSTOP')
  await sleep(LEASE_MS * 1.5) // the outage itself
  await servers.redis.kill('SIGCONT')
  // The other's packets are lost; it comes back within the lease.
  await sleep(LEASE_MS / 2)
  servers.proxy.heal({ isLost: true })

  await waitFor(() => runs.includes('second'), { timeoutMs: LEASE_MS * 5, describe: 'the sweeper to sweep again' })
  open()
  await bench.settled(6, 'completed')
  assert.deepEqual(
    runs.toSorted((a, b) => (String(a) < String(b) ? -1 : 1)),
    [1, 2, 3, 4, 'first', 'second'],
  )
  assert.equal((await bench.counts('default')).rescued, 0)
  assert.equal((await bench.counts('long')).rescued, 2)
  assert.equal(bench.stale.length, 0)
})
