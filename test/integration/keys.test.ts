import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { defineJob, fail, handle } from '../../src/index.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { waitFor } from '../support/wait-for.ts'
import { gate, openBench, type Workbench } from '../support/workbench.ts'

let redis: RedisServer
before(async () => {
  redis = await startRedis()
})
after(() => redis.stop())

const job = defineJob({ type: 'keyed', retry: { attempts: 4, delay: 0 } })
const range = (count: number) => Array.from({ length: count }, (_, index) => index)

async function assertNothingHeld(bench: Workbench): Promise<void> {
  assert.deepEqual(await bench.keys('g:*'), [])
  assert.deepEqual(await bench.keys('q:default:slots'), [])
  assert.deepEqual(await bench.keys('q:default:recs'), [])
  assert.deepEqual(await bench.keys('q:default:where'), [])
}

test('jobs of one key run one after another in the order of enqueuing, through retries and over workers', async () => {
  await using bench = openBench(redis)
  const running = new Map<string, number>()
  const done = new Map<string, number[]>()
  const fences = new Map<string, bigint[]>()
  const failures = new Map<string, number>()
  const handler = handle(job, async ({ payload, job: { key = '' }, fence }) => {
    assert.equal(running.get(key), undefined, 'two jobs of one key at once')
    running.set(key, 1)
    fences.set(key, [...(fences.get(key) ?? []), fence])
    await new Promise(setImmediate)
    running.delete(key)
    const name = `${key} ${payload}`
    failures.set(name, (failures.get(name) ?? 0) + 1)
    // Every third job fails twice before it succeeds; the others of its key wait for it.
    if (Number(payload) % 3 === 0 && (failures.get(name) ?? 0) < 3) throw new Error('again')
    done.set(key, [...(done.get(key) ?? []), Number(payload)])
  })
  for (let count = 0; count < 2; count++) await bench.startWorker({ handlers: [handler], concurrency: 8 })
  const items = range(120).map((n) => ({ payload: Math.floor(n / 6), key: `k${n % 6}` }))
  for (const part of [items.slice(0, 50), items.slice(50)]) await bench.moca.queue.enqueueMany(job, part)
  await bench.settled(120, 'completed', { timeoutMs: 20_000 })
  for (const key of range(6).map((n) => `k${n}`)) {
    assert.deepEqual(done.get(key), range(20), key)
    const seen = fences.get(key) ?? []
    for (const [index, fence] of seen.entries()) assert.ok(index === 0 || fence > (seen[index - 1] ?? 0n), key)
  }
  await assertNothingHeld(bench)
})

test('other keys, and jobs without one, do not wait', async () => {
  await using bench = openBench(redis)
  const { opened, open } = gate()
  const seen: string[] = []
  const handler = handle(job, async ({ payload }) => {
    if (payload === 'a1') await opened
    seen.push(payload as string)
  })
  await bench.startWorker({ handlers: [handler] })
  await bench.moca.queue.enqueueMany(job, [
    { payload: 'a1', key: 'a' },
    { payload: 'a2', key: 'a' },
    { payload: 'b1', key: 'b' },
    { payload: 'none' },
  ])
  await bench.settled(2)
  assert.deepEqual(seen.toSorted(), ['b1', 'none'])
  assert.equal((await bench.counts()).gated, 1)
  open()
  await bench.settled(4)
  assert.deepEqual(seen.slice(2), ['a1', 'a2'])
})

test('the same key in another queue is another key', async () => {
  await using bench = openBench(redis)
  const { opened, open } = gate()
  const handler = handle(job, async ({ job: { queue } }) => {
    if (queue === 'default') await opened
  })
  await bench.startWorker({ handlers: [handler], queues: ['default', 'long'] })
  await bench.moca.queue.enqueue(job, 1, { key: 'a' })
  await bench.moca.queue.enqueue(job, 2, { key: 'a', queue: 'long' })
  const [event] = await bench.settled(1)
  assert.equal(event?.queue, 'long')
  open()
  await bench.settled(2)
})

test('a delayed job takes its place when it is due', async () => {
  await using bench = openBench(redis)
  const { opened, open } = gate()
  const seen: unknown[] = []
  const handler = handle(job, async ({ payload }) => {
    if (payload === 'first') await opened
    seen.push(payload)
  })
  await bench.startWorker({ handlers: [handler] })
  const enqueue = (payload: string, delay?: number) =>
    bench.moca.queue.enqueue(job, payload, { key: 'k', ...(delay && { delay }) })
  const due = await enqueue('enqueued second, due third', 60)
  await enqueue('first')
  await enqueue('second')
  assert.equal((await bench.moca.queue.inspect(due.id))?.status, 'delayed')
  await waitFor(async () => (await bench.moca.queue.inspect(due.id))?.status === 'gated')
  await enqueue('fourth')
  open()
  await bench.settled(4)
  assert.deepEqual(seen, ['first', 'second', 'enqueued second, due third', 'fourth'])
  await assertNothingHeld(bench)
})

test('a retry that waits keeps its key: the next of it stays behind', async () => {
  await using bench = openBench(redis)
  const slow = defineJob({ type: 'slow', retry: { attempts: 2, delay: 150, jitter: 0 } })
  const seen: string[] = []
  const handler = handle(slow, ({ payload, attempt }) => {
    seen.push(`${payload} ${attempt}`)
    if (payload === 1 && attempt === 1) throw new Error('again')
  })
  await bench.startWorker({ handlers: [handler] })
  await bench.moca.queue.enqueueMany(slow, [
    { payload: 1, key: 'k' },
    { payload: 2, key: 'k' },
  ])
  await bench.settled(3)
  assert.deepEqual(seen, ['1 1', '1 2', '2 1'])
})

test('the next goes ahead when one dies, is cancelled, or is purged', async () => {
  await using bench = openBench(redis)
  const { queue } = bench.moca
  const seen: unknown[] = []
  const [dies, cancelled, gated, , last] = await queue.enqueueMany(
    job,
    ['dies', 'cancelled', 'gated', 'runs', 'last'].map((payload) => ({ payload, key: 'k' })),
  )
  // Not the one whose turn it is, but one that waits.
  assert.equal(await queue.cancel(gated?.id ?? ''), 'cancelled')
  const handler = handle(job, ({ payload }) => {
    seen.push(payload)
    if (payload === 'dies') throw fail('no', { retry: false })
  })
  assert.equal((await queue.inspect(cancelled?.id ?? ''))?.waitsFor, dies?.id)
  assert.equal(await queue.cancel(cancelled?.id ?? ''), 'cancelled')
  await bench.startWorker({ handlers: [handler] })
  await bench.settled(3)
  assert.deepEqual(seen, ['dies', 'runs', 'last'])
  assert.equal((await queue.inspect(last?.id ?? ''))?.status, 'completed')

  await bench.stopWorkers()
  await queue.enqueueMany(
    job,
    [1, 2].map((payload) => ({ payload, key: 'k' })),
  )
  for (const status of ['gated', 'waiting', 'dead'] as const) {
    assert.deepEqual(await queue.purge({ status }), { moved: 1, skipped: 0, keptKeys: 0 })
  }
  await assertNothingHeld(bench)
})

test('cancelling the one whose turn it is lets the next through', async () => {
  await using bench = openBench(redis)
  const { queue } = bench.moca
  const [first, second] = await queue.enqueueMany(
    job,
    [1, 2].map((payload) => ({ payload, key: 'k' })),
  )
  assert.equal(await queue.cancel(first?.id ?? ''), 'cancelled')
  assert.equal((await queue.inspect(second?.id ?? ''))?.status, 'waiting')
  await bench.startWorker({ handlers: [handle(job, () => {})] })
  await bench.settled(1, 'completed')
  await assertNothingHeld(bench)
})

test('a dead letter that is started anew waits for its key', async () => {
  await using bench = openBench(redis)
  const { queue } = bench.moca
  const hold = gate()
  const seen: unknown[] = []
  let isBroken = true
  const handler = handle(job, async ({ payload }) => {
    if (payload === 1 && isBroken) throw fail('no', { retry: false })
    seen.push(payload)
    if (payload === 2) await hold.opened
  })
  await bench.startWorker({ handlers: [handler] })
  const [dead] = await queue.enqueueMany(
    job,
    [1, 2].map((payload) => ({ payload, key: 'k' })),
  )
  await waitFor(() => seen.length === 1)
  isBroken = false
  assert.equal(await queue.retry(dead?.id ?? ''), 'retried')
  assert.equal((await queue.inspect(dead?.id ?? ''))?.status, 'gated')
  hold.open()
  await bench.settled(2, 'completed')
  assert.deepEqual(seen, [2, 1])
  await assertNothingHeld(bench)
})

test('keys may hold anything', async () => {
  await using bench = openBench(redis)
  const keys = ['a b', '{tag}', 'x:y', '\n', '\u0000', '😀', 'ä'.repeat(200), '"', '\\', '*?[a]', '__proto__', '.', '1']
  const seen: string[] = []
  const handler = handle(job, ({ job: { key = '' }, payload }) => void seen.push(`${key}${payload}`))
  await bench.moca.queue.enqueueMany(
    job,
    keys.flatMap((key) => [1, 2].map((payload) => ({ key, payload }))),
  )
  assert.equal((await bench.counts()).gated, keys.length)
  await bench.startWorker({ handlers: [handler] })
  await bench.settled(keys.length * 2, 'completed')
  for (const key of keys)
    assert.ok(seen.indexOf(`${key}1`) >= 0 && seen.indexOf(`${key}1`) < seen.indexOf(`${key}2`), key)
  await assertNothingHeld(bench)
})

test('a dead letter of a job with onDead: block holds up its key until it is retried, and no other', async () => {
  await using bench = openBench(redis)
  const blocking = defineJob({ type: 'blocking', retry: { attempts: 1 }, onDead: 'block' })
  const seen: string[] = []
  let isMended = false
  const handler = handle(blocking, ({ payload }) => {
    seen.push(payload as string)
    if (payload === 'a1' && !isMended) throw new Error('planned')
  })
  await bench.startWorker({ handlers: [handler] })
  const [first, second] = await bench.moca.queue.enqueueMany(blocking, [
    { payload: 'a1', key: 'a' },
    { payload: 'a2', key: 'a' },
    { payload: 'b1', key: 'b' },
    { payload: 'b2', key: 'b' },
  ])
  await bench.settled(3)
  await bench.moca.queue.enqueue(blocking, 'a3', { key: 'a' })
  assert.deepEqual(seen.toSorted(), ['a1', 'b1', 'b2'])
  const { dead, gated } = await bench.counts()
  assert.deepEqual({ dead, gated }, { dead: 1, gated: 2 })
  assert.equal((await bench.moca.queue.inspect(second?.id ?? ''))?.isBlocked, true)
  isMended = true
  assert.equal(await bench.moca.queue.retry(first?.id ?? ''), 'retried')
  await bench.settled(6)
  assert.deepEqual(seen.slice(3), ['a1', 'a2', 'a3'])
  await assertNothingHeld(bench)
})
