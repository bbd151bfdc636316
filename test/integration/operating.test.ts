import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { defineJob, handle, OptionError } from '../../src/index.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { waitFor } from '../support/wait-for.ts'
import { gate, openBench } from '../support/workbench.ts'

let redis: RedisServer
before(async () => {
  redis = await startRedis()
})
after(() => redis.stop())

const job = defineJob({ type: 'job' })

test('a job is cancelled as long as no worker has it', async () => {
  await using bench = openBench(redis)
  const { queue } = bench.moca
  const { opened, open } = gate()
  const ran: unknown[] = []
  const handler = handle(job, async ({ payload }) => {
    ran.push(payload)
    await opened
  })
  const active = await queue.enqueue(job, 'active')
  await bench.startWorker({ handlers: [handler], concurrency: 1 })
  await waitFor(() => ran.length === 1)
  const waiting = await queue.enqueue(job, 'waiting')
  const delayed = await queue.enqueue(job, 'delayed', { delay: '1h' })
  assert.deepEqual(await Promise.all([waiting, delayed, active].map(({ id }) => queue.cancel(id))), [
    'cancelled',
    'cancelled',
    'active',
  ])
  assert.equal(await queue.cancel(waiting.id), 'not_found')
  assert.equal(await queue.cancel('default.0.1-1'), 'not_found')
  await assert.rejects(async () => queue.cancel('nonsense'), OptionError)
  open()
  await bench.settled(1, 'completed')
  assert.equal(await queue.cancel(active.id), 'not_found')
  assert.deepEqual(ran, ['active'])
  const { completed, cancelled } = await bench.counts()
  assert.deepEqual({ completed, cancelled }, { completed: 1, cancelled: 2 })
})

test('an ended job is shown as long as its contract says, within what the history holds', async () => {
  await using bench = openBench(redis, { history: { entries: 1_000 } })
  const shown = defineJob({ type: 'shown', keep: { completed: '1h' } })
  const hidden = defineJob({ type: 'hidden', keep: { completed: 0 } })
  const worker = await bench.startWorker({ handlers: [handle(shown, () => {}), handle(hidden, () => {})] })
  const [a, b] = [await bench.moca.queue.enqueue(shown, 1), await bench.moca.queue.enqueue(hidden, 1)]
  await bench.settled(2)
  const view = await bench.moca.queue.inspect(a.id)
  assert.deepEqual([view?.status, view?.attempt, view?.type], ['completed', 1, 'shown'])
  assert.ok(view?.endedAt && view.durationMs !== undefined)
  assert.equal(await bench.moca.queue.inspect(b.id), undefined)
  await worker.stop()
})

test('the history is bounded', async () => {
  await using bench = openBench(redis, { history: { entries: 50 } })
  await bench.startWorker({ handlers: [handle(job, () => {})] })
  await bench.moca.queue.enqueueMany(
    job,
    Array.from({ length: 3_000 }, (_, payload) => ({ payload })),
  )
  await bench.settled(3_000)
  const entries = await bench.command<[string, string[]][]>('XRANGE', ':q:default:done', '-', '+')
  const lines = entries.flatMap(([, fields]) => (fields[3] ?? '').split('\n'))
  // Roughly: Redis trims whole nodes of a hundred entries.
  assert.ok(lines.length < 3_000, `${lines.length} lines`)
  assert.ok(entries.length <= 200)
})

test('without a history nothing is kept, and everything is counted', async () => {
  await using bench = openBench(redis, { history: { entries: 0 } })
  await bench.startWorker({ handlers: [handle(job, () => {})] })
  const { id } = await bench.moca.queue.enqueue(job, 1)
  await bench.settled(1)
  assert.equal(await bench.moca.queue.inspect(id), undefined)
  assert.deepEqual(await bench.keys('q:default:done'), [])
  assert.equal((await bench.counts()).completed, 1)
})

test('a queue that has been drained leaves nothing but its streams, counters and history', async () => {
  await using bench = openBench(redis)
  const worker = await bench.startWorker({ handlers: [handle(job, () => {})] })
  await bench.moca.queue.enqueueMany(
    job,
    Array.from({ length: 60 }, (_, payload) => ({
      payload: payload % 10 === 0 ? 'x'.repeat(20_000) : payload,
      ...(payload % 2 === 0 && { key: `k${payload % 4}` }),
      ...(payload % 3 === 0 && { delay: 5 }),
    })),
  )
  await bench.settled(60)
  await worker.stop()
  assert.deepEqual(await bench.keys(), [
    'boots',
    'layout',
    'q:default',
    'q:default:alone',
    'q:default:done',
    'q:default:front',
    'q:default:n',
    'q:default:suspect',
    'queues',
  ])
  for (const stream of ['q:default', 'q:default:alone', 'q:default:front', 'q:default:suspect']) {
    assert.equal(await bench.command('XLEN', `:${stream}`), 0)
  }
})
