import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { defineJob, handle } from '../../../src/index.ts'
import { startRedis } from '../../support/redis-server.ts'
import { waitFor } from '../../support/wait-for.ts'
import { openBench } from '../../support/workbench.ts'

const redis = await startRedis()
after(() => redis.stop())

test('attack 4: a worker drops an attempt that Redis forgot having handed out, and its late result does not count', async () => {
  await using bench = openBench(redis)
  const job = defineJob({ type: 'forgotten' })
  const { id } = await bench.moca.queue.enqueue(job, 1)
  await redis.cli(['SAVE']) // the state that the server will come back to: accepted, not handed out
  const runs: { fence: bigint; signal: AbortSignal; end: (value?: unknown) => void; ended: Promise<unknown> }[] = []
  const handler = handle(job, async ({ fence, signal }) => {
    const { promise, resolve } = Promise.withResolvers<unknown>()
    runs.push({ fence, signal, end: resolve, ended: promise })
    await promise
  })
  await bench.startWorker({ handlers: [handler], concurrency: 5 })
  await waitFor(() => runs.length === 1, { describe: 'the first attempt' })

  await redis.kill('SIGKILL')
  await redis.restart()
  await waitFor(() => runs.length === 2, { timeoutMs: 15_000, describe: 'the second attempt, in the same worker' })
  const [first, second] = runs
  assert.ok(first && second)
  assert.ok(first.signal.aborted, 'the forgotten attempt is told')
  assert.ok(second.fence > first.fence, 'the fence grows')

  first.end()
  await first.ended
  assert.equal((await bench.moca.queue.inspect(id))?.status, 'active', 'the late result of the first changed nothing')
  second.end()
  await bench.settled(1)
  const counts = (await bench.moca.queue.counts(['default'])).default
  assert.equal(counts?.completed, 1)
  assert.deepEqual(
    bench.stale.map((event) => event.id),
    [id],
  )
})
