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
  const damaged = [
    '{"er":{}}',
    '{"er":[null]}',
    '{"f":"x"}',
    '{"rt":null}',
    '{"zz":[1e999]}',
    'null',
    '5',
    '[]',
    '{"s":"x"}',
    '{"i":{}}',
    '{"i":5}',
    '{"k":{}}',
    '{"zz":[1e999],"c":"x"}',
  ]
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

const DAMAGED = [
  '{"er":{}}',
  '{"er":[null]}',
  '{"er":[{}]}',
  '{"at":1e999,"er":[5]}',
  '{"da":1e300,"at":1e300}',
  'null',
  '{',
]

test('entries and records that no release wrote are listed and inspected like others, and can be purged', async () => {
  await using bench = openBench(redis)
  bench.skipBalance() // nobody accepted those
  const { queue } = bench.moca
  await queue.enqueue(defineJob({ type: 'a' }), 0)
  for (const [index, options] of DAMAGED.entries()) {
    await bench.command('XADD', ':q:default', '*', 't', 'a', 'o', options, 'd', '0')
    for (const [set, letter] of [
      ['later', 'A'],
      ['dead', 'B'],
    ] as const) {
      const id = `g${letter.repeat(19)}${index}`
      await bench.command('ZADD', `:q:default:${set}`, '99999999999999', id)
      await bench.command('HSET', ':q:default:recs', id, `r\na\n${options}\nnull`)
    }
  }
  const { jobs } = await queue.list()
  assert.equal(jobs.length, 1 + 3 * DAMAGED.length)
  for (const { id, errors } of jobs) {
    assert.equal((await queue.inspect(id))?.id, id)
    assert.deepEqual(errors, [])
  }
  JSON.stringify(jobs)
  assert.deepEqual(await queue.purge({ queue: 'default' }), { moved: jobs.length, skipped: 0, keptKeys: 0 })
  assert.deepEqual((await queue.list()).jobs, [])
})

test('a job whose entry was damaged dies under its own id, and lets the next of its key run', async () => {
  const job = defineJob({ type: 'a' })
  await using bench = openBench(redis)
  const { queue } = bench.moca
  const { id } = await queue.enqueue(job, 1, { key: 'k' })
  const next = await queue.enqueue(job, 2, { key: 'k' })
  const place = id.slice('default.0.'.length)
  const [, entry = ''] = (await bench.command<string>('HGET', ':q:default:where', place)).split(':')
  await bench.command('XDEL', ':q:default', entry)
  const options = JSON.stringify({ i: place, k: 'k', er: {} })
  const damaged = await bench.command<string>('XADD', ':q:default', '*', 't', 'a', 'o', options, 'd', '1')
  await bench.command('HSET', ':q:default:where', place, `m:${damaged}`)

  await bench.startWorker({ handlers: [handle(job, () => {})] })
  const [ended] = await bench.settled(1, 'completed')
  assert.equal(ended?.id, next.id)
  const dead = await queue.inspect(id)
  assert.deepEqual([dead?.status, dead?.reason], ['dead', 'unreadable'])
  assert.deepEqual(await bench.keys('q:default:where'), [])
  assert.deepEqual(await bench.keys('q:default:slots'), [])
})
