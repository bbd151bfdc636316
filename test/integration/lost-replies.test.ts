import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defineJob, handle } from '../../src/index.ts'
import { proxiedRedis } from '../support/proxied-redis.ts'
import { waitFor } from '../support/wait-for.ts'
import { gate, openBench } from '../support/workbench.ts'

// The server applies an outcome, and its answer is lost. The worker cannot know, and sends it again.

const servers = proxiedRedis()

const job = defineJob({ type: 'a.b', retry: { delay: '1h' }, keep: { completed: '1h' } })

test('outcomes that were applied and whose answer was lost count once, and are not taken for stale', async () => {
  await using bench = openBench({ url: servers.proxy.url })
  const { opened, open } = gate()
  const runs: unknown[] = []
  const handler = handle(job, async ({ payload }) => {
    runs.push(payload)
    await opened
    if (payload === 'fails') throw new Error('planned')
  })
  const worker = await bench.startWorker({ handlers: [handler], lease: '1m' })
  const ids = await bench.moca.queue.enqueueMany(job, [
    { payload: 'plain' },
    { payload: 'keyed', key: 'k' },
    { payload: 'next of its key', key: 'k' },
    { payload: 'fails' },
  ])
  await waitFor(() => runs.length === 3, { describe: 'the jobs to run' })

  servers.proxy.setFaults({ kind: 'hole', direction: 'toClient', name: /:work$/ })
  open()
  await waitFor(async () => (await bench.counts()).completed === 2 && (await bench.counts()).delayed === 1, {
    describe: 'the server to apply the outcomes',
  })
  assert.equal(bench.events.length, 0, 'no answer arrived')
  servers.proxy.cut(/:work$/)
  servers.proxy.heal()

  await waitFor(() => runs.length === 4, { describe: 'the next of the key to run' })
  await waitFor(() => worker.health().unsettled === 0 && worker.health().running === 0, {
    describe: 'the outcomes to be known',
  })
  assert.deepEqual(bench.stale, [])
  assert.equal((await bench.counts()).stale, 0)
  assert.deepEqual(
    bench.events.map(({ id, outcome }) => `${outcome} ${id}`).toSorted(),
    ids
      .slice(0, 3)
      .map(({ id }) => `completed ${id}`)
      .toSorted(),
    'those whose jobs are gone are told',
  )
  const { completed, delayed, retried, active } = await bench.counts()
  assert.deepEqual({ completed, delayed, retried, active }, { completed: 3, delayed: 1, retried: 1, active: 0 })
  const { jobs } = await bench.moca.queue.list({ queue: 'default', status: 'completed' })
  assert.deepEqual(
    jobs.map(({ id }) => id).toSorted(),
    ids
      .slice(0, 3)
      .map(({ id }) => id)
      .toSorted(),
  )
  assert.equal((await bench.moca.queue.inspect(ids[3]?.id ?? ''))?.errors.length, 1)
})
