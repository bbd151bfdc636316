import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import { createMoca, defineJob } from '../src/index.ts'
import { type RedisServer, startRedis } from '../test/support/redis-server.ts'
import { plantByProcess } from './faults.ts'
import { openRaw, type RawRedis } from './raw-redis.ts'
import { type FoundJob, type RawWalk, walk } from './raw-walk.ts'

const NAMESPACE = 'walked'
const PREFIX = `{moca:${NAMESPACE}}:`
const QUEUE = `${PREFIX}q:default`

let server: RedisServer
let redis: RawRedis
before(async () => {
  server = await startRedis()
  redis = await openRaw(server.url)
})
after(async () => {
  redis.close()
  await server.stop()
})
beforeEach(async () => {
  await redis.send('FLUSHALL')
  await redis.send('SADD', `${PREFIX}queues`, 'default')
})

const look = (): Promise<RawWalk> => walk(redis, NAMESPACE)
const places = (jobs: readonly FoundJob[]) => jobs.map(({ id, place }) => `${id} ${place}`).toSorted()
const add = (key: string, entry: string, options: object | '' = '', payload = '{}') =>
  redis.send('XADD', key, entry, 't', 'a.job', 'o', options === '' ? '' : JSON.stringify(options), 'd', payload)
const record = (id: string, options: object) =>
  redis.send('HSET', `${QUEUE}:recs`, id, `\na.job\n${JSON.stringify(options)}\n{}`)

describe('the raw walk finds a job', () => {
  test('that waits or is active, in any stream, under its own id', async () => {
    await add(QUEUE, '5-0')
    await add(QUEUE, '5-1')
    await redis.send('XGROUP', 'CREATE', QUEUE, 'w', '0')
    await redis.send('XREADGROUP', 'GROUP', 'w', 'c', 'COUNT', 1, 'STREAMS', QUEUE, '>')
    await add(`${QUEUE}:front`, '9-0', { i: '3-0' })
    await redis.send('HSET', `${QUEUE}:where`, '3-0', 'f:9-0')
    await redis.send('SADD', `${QUEUE}:sides`, 'a.job')
    await add(`${QUEUE}:t:a.job`, '9-0', { i: '4-0' })
    await redis.send('HSET', `${QUEUE}:where`, '4-0', 'ta.job:9-0')
    const { jobs, findings } = await look()
    assert.deepEqual(findings, [])
    assert.deepEqual(places(jobs), [
      'default.0.3-0 waiting',
      'default.0.4-0 waiting',
      'default.0.5-0 active',
      'default.0.5-1 waiting',
    ])
  })

  test('that is delayed, dead, or waits for its key', async () => {
    for (const id of ['1-0', '2-0', '3-0']) await record(id, { i: id, ...(id === '3-0' ? { k: 'K' } : {}) })
    await redis.send('ZADD', `${QUEUE}:later`, 99, '1-0')
    await redis.send('ZADD', `${QUEUE}:dead`, 99, '2-0')
    await redis.send('RPUSH', `${PREFIX}g:default:K`, '3-0')
    const { jobs, findings, queues } = await look()
    assert.deepEqual(findings, [])
    assert.deepEqual(places(jobs), ['default.0.1-0 delayed', 'default.0.2-0 dead', 'default.0.3-0 gated'])
    assert.deepEqual(queues[0]?.places, { waiting: 0, active: 0, delayed: 1, gated: 1, dead: 1 })
  })

  test('in more pages than one', async () => {
    for (let n = 1; n <= 2_500; n++) await add(QUEUE, `${n}-0`)
    await redis.send('XGROUP', 'CREATE', QUEUE, 'w', '0')
    await redis.send('XREADGROUP', 'GROUP', 'w', 'c', 'COUNT', 1_200, 'STREAMS', QUEUE, '>')
    const { queues } = await look()
    assert.deepEqual(queues[0]?.places, { waiting: 1_300, active: 1_200, delayed: 0, gated: 0, dead: 0 })
  })
})

describe('the raw walk names', () => {
  const findings = async () => (await look()).findings.map(({ id, found }) => `${id}: ${found}`)

  test('a job in two places', async () => {
    await add(QUEUE, '1-0')
    await record('1-0', { i: '1-0' })
    await redis.send('ZADD', `${QUEUE}:dead`, 99, '1-0')
    assert.deepEqual(await findings(), [`default.0.1-0: ${QUEUE} and ${QUEUE}:dead`])
  })

  test('a record that nothing refers to, and a name without a record', async () => {
    await record('1-0', { i: '1-0' })
    await redis.send('ZADD', `${QUEUE}:later`, 99, '2-0')
    assert.deepEqual(await findings(), [
      `default.0.2-0: only its name in ${QUEUE}:later`,
      'default.0.1-0: only a record',
    ])
  })

  test('an entry deleted while it was pending', async () => {
    await add(QUEUE, '1-0')
    await redis.send('XGROUP', 'CREATE', QUEUE, 'w', '0')
    await redis.send('XREADGROUP', 'GROUP', 'w', 'c', 'STREAMS', QUEUE, '>')
    await redis.send('XDEL', QUEUE, '1-0')
    assert.deepEqual(await findings(), ['default.0.1-0: only a pending reference: the entry was deleted'])
  })

  test('indexes that point at nothing, or are missing', async () => {
    await add(`${QUEUE}:front`, '9-0', { i: '3-0' })
    await redis.send('HSET', `${QUEUE}:where`, '4-0', 'f:8-0')
    await redis.send('HSET', `${QUEUE}:slots`, 'K', '5-0')
    assert.deepEqual(await findings(), [
      'default.0.3-0: no entry in where',
      'default.0.4-0: only an entry in where',
      'default.0.5-0: no such job',
    ])
  })

  test('a large payload without a job, and a job without its payload', async () => {
    await redis.send('SET', `${PREFIX}p:default:1-0`, 'abc')
    await add(`${QUEUE}:front`, '9-0', { i: '3-0', p: 20_000 }, '')
    await redis.send('HSET', `${QUEUE}:where`, '3-0', 'f:9-0')
    assert.deepEqual(await findings(), ['default.0.1-0: no such job', 'default.0.3-0: none'])
  })
})

test('how far lanes have come is read as it stands', async () => {
  await redis.send('HSET', `${PREFIX}relay`, '3', 'a-log 17 4 250 abcd', '12', 'a-log 2 9 1 ef01')
  const { positions } = await look()
  assert.equal(positions.size, 2)
  assert.deepEqual(positions.get('3'), { logId: 'a-log', n: 17, epoch: 4, rows: 250, digest: 'abcd' })
  assert.deepEqual(positions.get('12'), { logId: 'a-log', n: 2, epoch: 9, rows: 1, digest: 'ef01' })
})

test('a dead letter that holds its key is no finding, nor are those that wait behind it', async () => {
  for (const id of ['1-0', '2-0']) await record(id, { i: id, k: 'enrich/:City:7', b: 1 })
  await redis.send('ZADD', `${QUEUE}:dead`, 99, '1-0')
  await redis.send('HSET', `${QUEUE}:slots`, 'enrich/:City:7', '1-0')
  await redis.send('RPUSH', `${PREFIX}g:default:enrich/:City:7`, '2-0')
  const { jobs, findings } = await look()
  assert.deepEqual(findings, [])
  assert.deepEqual(places(jobs), ['default.0.1-0 dead', 'default.0.2-0 gated'])
})

test('losses that processes reported are summed over queues and lives', async () => {
  const report = (lost: number) => ({ lost, from: 1, to: 2, noticed: 3 })
  await redis.send('HSET', `${PREFIX}losses`, '1-0', JSON.stringify({ default: report(3), long: report(2) }))
  await redis.send('HSET', `${PREFIX}losses`, '2-0', JSON.stringify({ default: report(1) }))
  assert.equal((await look()).reportedLost, 6)
})

describe('in a namespace that Moca wrote', () => {
  const job = defineJob({ type: 'a.job', queue: 'default' })

  test('the raw walk finds every job in the place that Moca counts it in', async () => {
    await using moca = createMoca({ namespace: NAMESPACE, redis: { url: server.url } })
    const ids = [
      await moca.queue.enqueue(job, 1),
      await moca.queue.enqueue(job, 2, { delay: '1h' }),
      await moca.queue.enqueue(job, 3, { key: 'K' }),
      await moca.queue.enqueue(job, 4, { key: 'K' }),
      await moca.queue.enqueue(job, 'x'.repeat(40_000), { idempotencyKey: 'once' }),
    ].map(({ id }) => id)
    const { jobs, findings, queues } = await look()
    assert.deepEqual(findings, [])
    assert.deepEqual(jobs.map(({ id }) => id).toSorted(), ids.toSorted())
    const { waiting, active, delayed, gated, dead } = (await moca.queue.counts())['default'] ?? {}
    assert.deepEqual(queues[0]?.places, { waiting, active, delayed, gated, dead })
    assert.equal(queues[0]?.counters['accepted'], 5)
  })

  test('the planted deletion takes one unread job without a key', async () => {
    await using moca = createMoca({ namespace: NAMESPACE, redis: { url: server.url } })
    await redis.send('XGROUP', 'CREATE', QUEUE, 'w', '0', 'MKSTREAM')
    const read = await moca.queue.enqueue(job, 1)
    await redis.send('XREADGROUP', 'GROUP', 'w', 'c', 'STREAMS', QUEUE, '>')
    const victim = await moca.queue.enqueue(job, 2)
    const keyed = await moca.queue.enqueue(job, 3, { key: 'K' })
    const told = await plantByProcess('entry-deleted', server.url, NAMESPACE, AbortSignal.timeout(20_000))
    assert.ok(told.includes(victim.id), told)
    assert.deepEqual(places((await look()).jobs), [`${read.id} active`, `${keyed.id} waiting`].toSorted())
  })

  test('the planted swap changes the order of two jobs of one page and key', async () => {
    await using moca = createMoca({ namespace: NAMESPACE, redis: { url: server.url } })
    const subjects = ['city-1', 'page-1-begin', 'city-2', 'page-1-rows', 'page-1-end']
    for (const subject of subjects) await moca.queue.enqueue(job, { country: 'DE', subject }, { key: 'DE' })
    const order = () => redis.send<string[]>('LRANGE', `${PREFIX}g:default:DE`, 0, -1)
    const [begin, city, rows, end] = await order()
    await plantByProcess('order-swapped', server.url, NAMESPACE, AbortSignal.timeout(20_000))
    assert.deepEqual(await order(), [begin, city, end, rows])
  })
})
