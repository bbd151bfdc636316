import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { defineJob, handle } from '../../src/index.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { openBench } from '../support/workbench.ts'

let redis: RedisServer
before(async () => {
  redis = await startRedis()
})
after(() => redis.stop())

test('whatever a listener throws, nothing included, the worker goes on', async () => {
  await using bench = openBench(redis)
  const job = defineJob({ type: 'job' })
  const worker = await bench.startWorker({ handlers: [handle(job, () => {})] })
  worker.on('settled', () => {
    throw undefined // oxlint-disable-line typescript/only-throw-error -- the worst that a listener can do
  })
  for (const count of [1, 2]) {
    await bench.moca.queue.enqueue(job, count)
    await bench.settled(count, 'completed')
  }
})

test('a listener that throws does not stop the worker, and is named in the log', async () => {
  await using bench = openBench(redis)
  const job = defineJob({ type: 'job', retry: { attempts: 1 } })
  const failed: object[] = []
  const log = { debug() {}, info() {}, warn() {}, error: (facts: object) => void failed.push(facts), child: () => log }
  const handler = handle(job, ({ payload }) => {
    if (payload === 7) throw new Error('boom')
  })
  const worker = await bench.startWorker({ handlers: [handler], logger: log })
  worker.on('settled', () => {
    throw new Error('out of beans')
  })
  for (const part of [1, 2]) {
    await bench.moca.queue.enqueueMany(
      job,
      Array.from({ length: 100 }, (_, payload) => ({ payload })),
    )
    await bench.settled(part * 100)
  }
  const { completed, dead } = await bench.counts()
  assert.deepEqual([completed, dead], [198, 2])
  const told = failed.filter((facts) => 'event' in facts)
  assert.equal(told.length, 200)
  assert.deepEqual(told[0], { event: 'settled', reason: 'out of beans' })
})
