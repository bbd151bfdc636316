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

test('a worker buries entries that no release wrote, and runs what stands between them', async () => {
  const job = defineJob({ type: 'a' })
  await using bench = openBench(redis)
  bench.skipBalance() // nobody accepted those
  const ran: unknown[] = []
  const damaged = ['null', '5', '[]', '{"s":"x"}', '{"i":{}}', '{"i":5}', '{"k":{}}', '{"zz":[1e999],"c":"x"}']
  for (const [index, options] of damaged.entries()) {
    await bench.command('XADD', ':q:default', '*', 't', 'a', 'o', options, 'd', '0')
    await bench.moca.queue.enqueue(job, index)
  }
  await bench.startWorker({ handlers: [handle(job, ({ payload }) => void ran.push(payload))], concurrency: 1 })
  await bench.settled(damaged.length, 'completed')
  await bench.settled(damaged.length, 'dead')
  assert.deepEqual(ran, [...damaged.keys()])
  const { jobs } = await bench.moca.queue.list({ status: 'dead' })
  assert.deepEqual(new Set(jobs.map(({ reason }) => reason)), new Set(['unreadable']))
  assert.equal(jobs.length, damaged.length)
})
