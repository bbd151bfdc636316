import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { z } from 'zod'
import { ConfigError, defineJob, handle, OptionError, PayloadError, QueueFullError } from '../../src/index.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { waitFor } from '../support/wait-for.ts'
import { KEEP_ORDER, openBench } from '../support/workbench.ts'

let redis: RedisServer
before(async () => {
  redis = await startRedis()
})
after(() => redis.stop())

const plain = defineJob({ type: 'plain' })
const range = (count: number) => Array.from({ length: count }, (_, index) => index)

test('an enqueued job is run once, with what it was given', async () => {
  await using bench = openBench(redis)
  const greet = defineJob({ type: 'greet', payload: z.object({ name: z.string() }), queue: 'critical' })
  const seen: unknown[] = []
  const handler = handle(greet, ({ payload, job, attempt, signal, fence }) => {
    seen.push({ payload, job, attempt, isAborted: signal.aborted, hasFence: fence > 0n })
  })
  await bench.startWorker({ handlers: [handler] })
  const before = Date.now()
  const { id, status } = await bench.moca.queue.enqueue(
    greet,
    { name: 'Ada' },
    { headers: { traceparent: '00-1-2-01', user: 'ä "x"\n' } },
  )
  assert.equal(status, 'enqueued')
  assert.match(id, /^critical\.0\.\d+-\d+$/)
  const [event] = await bench.settled(1)
  assert.deepEqual(
    [event?.id, event?.type, event?.queue, event?.attempt, event?.outcome],
    [id, 'greet', 'critical', 1, 'completed'],
  )
  const { enqueuedAt, ...job } = (seen[0] as { job: { enqueuedAt: Date } }).job
  assert.ok(Math.abs(enqueuedAt.getTime() - before) < 60_000)
  assert.deepEqual(seen, [
    { payload: { name: 'Ada' }, job: { ...job, enqueuedAt }, attempt: 1, isAborted: false, hasFence: true },
  ])
  assert.deepEqual(job, {
    id,
    type: 'greet',
    queue: 'critical',
    key: undefined,
    schedule: undefined,
    headers: { traceparent: '00-1-2-01', user: 'ä "x"\n' },
    stalls: 0,
    releases: 0,
  })
  const view = await bench.moca.queue.inspect(id)
  assert.deepEqual([view?.status, view?.attempt], ['completed', 1])
})

test('jobs wait for a worker, and start in the order of enqueuing', async () => {
  await using bench = openBench(redis)
  const results = await Promise.all(range(50).map((n) => bench.moca.queue.enqueue(plain, n)))
  assert.equal(new Set(results.map(({ id }) => id)).size, 50)
  const counts = await bench.counts()
  assert.deepEqual([counts.accepted, counts.waiting], [50, 50])
  const seen: unknown[] = []
  await bench.startWorker({ handlers: [handle(plain, ({ payload }) => void seen.push(payload))], ...KEEP_ORDER })
  await bench.settled(50)
  assert.deepEqual(seen, range(50))
})

test('the call may choose another queue than the contract', async () => {
  await using bench = openBench(redis)
  const { id } = await bench.moca.queue.enqueue(plain, 1, { queue: 'long' })
  const [many] = await bench.moca.queue.enqueueMany(plain, [{ payload: 2 }], { queue: 'mail' })
  assert.match(id, /^long\.0\./)
  assert.match(many?.id ?? '', /^mail\.0\./)
  await bench.startWorker({ handlers: [handle(plain, () => {})], queues: ['long', 'mail'] })
  await bench.settled(2)
  await assert.rejects(bench.moca.queue.enqueue(plain, 1, { queue: 'a.b' }), OptionError)
})

test('thousands go in one call, in order, each with options of its own', async () => {
  await using bench = openBench(redis)
  const items = range(2_500).map((n) => ({ payload: n, ...(n % 500 === 0 && { key: 'k' }) }))
  const results = await bench.moca.queue.enqueueMany(plain, items)
  assert.equal(results.length, 2_500)
  assert.ok(results.every(({ status }) => status === 'enqueued'))
  assert.equal(new Set(results.map(({ id }) => id)).size, 2_500)
  const seen: unknown[] = []
  await bench.startWorker({ handlers: [handle(plain, ({ payload }) => void seen.push(payload))], ...KEEP_ORDER })
  await bench.settled(2_500)
  const withoutKey = seen.filter((n) => Number(n) % 500 !== 0)
  assert.deepEqual(
    withoutKey,
    range(2_500).filter((n) => n % 500 !== 0),
  )
  assert.deepEqual(
    seen.filter((n) => Number(n) % 500 === 0),
    [0, 500, 1_000, 1_500, 2_000],
  )
  assert.deepEqual(await bench.moca.queue.enqueueMany(plain, []), [])
})

test('one bad item refuses the whole call', async () => {
  await using bench = openBench(redis)
  const job = defineJob({ type: 'n', payload: z.number() })
  await assert.rejects(bench.moca.queue.enqueueMany(job, [{ payload: 1 }, { payload: 'two' as never }]), PayloadError)
  await assert.rejects(bench.moca.queue.enqueueMany(job, [{ payload: 1 }, { payload: 2, delay: -1 }]), OptionError)
  await bench.moca.connect()
  assert.equal((await bench.counts()).accepted, 0)
})

test('an idempotency key is accepted once, and gives the first id again', async () => {
  await using bench = openBench(redis)
  const { queue } = bench.moca
  const first = await queue.enqueue(plain, 1, { idempotencyKey: 'order:1' })
  assert.deepEqual(await queue.enqueue(plain, 2, { idempotencyKey: 'order:1' }), { id: first.id, status: 'duplicate' })
  // Whatever else it is: a delayed job, one of another queue, from another process.
  const other = bench.openMoca().queue
  assert.deepEqual(await other.enqueue(plain, 3, { idempotencyKey: 'order:1', delay: '1h', queue: 'long' }), {
    id: first.id,
    status: 'duplicate',
  })
  const delayed = await queue.enqueue(plain, 4, { idempotencyKey: 'order:2', delay: '1h' })
  assert.equal(delayed.status, 'enqueued')
  assert.deepEqual(await queue.enqueue(plain, 4, { idempotencyKey: 'order:2' }), { ...delayed, status: 'duplicate' })
  const counts = await bench.counts()
  assert.deepEqual([counts.accepted, counts.waiting, counts.delayed], [2, 1, 1])
  for (const key of await bench.keys('u:*')) {
    const ttl = await bench.command<number>('PTTL', `:${key}`)
    assert.ok(ttl > 23 * 3_600_000 && ttl <= 24 * 3_600_000)
  }
})

test('an idempotency key counts within one batch as well', async () => {
  await using bench = openBench(redis)
  const many = await bench.moca.queue.enqueueMany(
    plain,
    ['a', 'b', 'a', 'c', 'b'].map((letter) => ({ payload: letter, idempotencyKey: letter })),
  )
  assert.deepEqual(
    many.map(({ status }) => status),
    ['enqueued', 'enqueued', 'duplicate', 'enqueued', 'duplicate'],
  )
  assert.deepEqual([many[2]?.id, many[4]?.id], [many[0]?.id, many[1]?.id])
  const [one, two] = await Promise.all([
    bench.moca.queue.enqueue(plain, 1, { idempotencyKey: 'd' }),
    bench.moca.queue.enqueue(plain, 1, { idempotencyKey: 'd' }),
  ])
  assert.deepEqual([one.status, two], ['enqueued', { id: one.id, status: 'duplicate' }])
  assert.equal((await bench.counts()).accepted, 4)
})

test('an idempotency key is forgotten after its time', async () => {
  await using bench = openBench(redis, { queue: { idempotencyTtl: '2s' } })
  const enqueue = () => bench.moca.queue.enqueue(plain, 1, { idempotencyKey: 'a' })
  const first = await enqueue()
  const [marker = ''] = await bench.keys('u:*')
  assert.ok((await bench.command<number>('PTTL', `:${marker}`)) <= 2_000)
  assert.equal((await enqueue()).status, 'duplicate')
  await bench.command('PEXPIRE', `:${marker}`, '1') // the time passes
  const second = await waitFor(async () => {
    const result = await enqueue()
    return result.status === 'enqueued' ? result : undefined
  })
  assert.notEqual(second.id, first.id)
})

test('a full queue refuses and drops nothing', async () => {
  await using bench = openBench(redis, { queues: { default: { maxWaiting: 5 } } })
  const { queue } = bench.moca
  const kept = await queue.enqueue(plain, 0, { idempotencyKey: 'kept' })
  for (const n of range(4)) await queue.enqueue(plain, n)
  await assert.rejects(queue.enqueue(plain, 5), (error: QueueFullError) => {
    assert.ok(error instanceof QueueFullError && error.retryable)
    assert.deepEqual(error.facts, { queue: 'default', maxWaiting: 5 })
    return true
  })
  // A duplicate needs no room.
  assert.deepEqual(await queue.enqueue(plain, 0, { idempotencyKey: 'kept' }), { id: kept.id, status: 'duplicate' })
  // Other queues have theirs.
  await queue.enqueue(plain, 6, { queue: 'long' })
  assert.deepEqual([(await bench.counts()).accepted, (await bench.counts()).waiting], [5, 5])
  // Jobs that run do not count.
  await bench.startWorker({ handlers: [handle(plain, () => {})] })
  await bench.settled(5)
  await queue.enqueue(plain, 7)
  await bench.settled(6)
})

test('jobs that wait for their key count as waiting, delayed ones do not', async () => {
  await using bench = openBench(redis, { queues: { default: { maxWaiting: 3 } } })
  const { queue } = bench.moca
  for (const n of range(3)) await queue.enqueue(plain, n, { delay: '1h' })
  for (const n of range(3)) await queue.enqueue(plain, n, { key: 'k' })
  await assert.rejects(queue.enqueue(plain, 4, { key: 'k' }), QueueFullError)
  const { delayed, gated, waiting } = await bench.counts()
  assert.deepEqual({ delayed, gated, waiting }, { delayed: 3, gated: 2, waiting: 1 })
})

test('single enqueues of one turn take the places that are left', async () => {
  await using bench = openBench(redis, { queues: { default: { maxWaiting: 3 } } })
  const results = await Promise.allSettled(range(5).map((n) => bench.moca.queue.enqueue(plain, n)))
  assert.deepEqual(
    results.map(({ status }) => status),
    ['fulfilled', 'fulfilled', 'fulfilled', 'rejected', 'rejected'],
  )
  assert.equal((await bench.counts()).waiting, 3)
})

test('enqueueMany into a queue that cannot take all takes none', async () => {
  await using bench = openBench(redis, { queues: { default: { maxWaiting: 1_500 } } })
  const { queue } = bench.moca
  await assert.rejects(
    queue.enqueueMany(
      plain,
      range(2_000).map((payload) => ({ payload })),
    ),
    (error: QueueFullError) => {
      assert.ok(error instanceof QueueFullError)
      // The first thousand had been accepted before; the second thousand was refused as a whole.
      assert.equal((error.facts.accepted as unknown[]).length, 1_000)
      return true
    },
  )
  assert.equal((await bench.counts()).waiting, 1_000)
  await assert.rejects(
    queue.enqueueMany(
      plain,
      range(501).map((payload) => ({ payload })),
    ),
    QueueFullError,
  )
  await queue.enqueueMany(
    plain,
    range(500).map((payload) => ({ payload })),
  )
  assert.equal((await bench.counts()).waiting, 1_500)
})

test('a repeated enqueueMany needs no room for the jobs that were accepted', async () => {
  await using bench = openBench(redis, { queues: { default: { maxWaiting: 5 } } })
  const { queue } = bench.moca
  const items = (numbers: number[]) => numbers.map((n) => ({ payload: n, idempotencyKey: `order:${n}` }))
  const first = await queue.enqueueMany(plain, items([0, 1, 2, 3]))
  const again = await queue.enqueueMany(plain, items([0, 1, 2, 3]))
  assert.deepEqual(
    again,
    first.map(({ id }) => ({ id, status: 'duplicate' })),
  )
  // One more than is known, twice: it needs one place.
  const more = await queue.enqueueMany(plain, items([0, 4, 4, 1]))
  assert.deepEqual(
    more.map(({ status }) => status),
    ['duplicate', 'enqueued', 'duplicate', 'duplicate'],
  )
  await assert.rejects(queue.enqueueMany(plain, items([0, 5])), QueueFullError)
  assert.deepEqual(await queue.enqueueMany(plain, items([4, 0])), [
    { id: more[1]?.id, status: 'duplicate' },
    { id: first[0]?.id, status: 'duplicate' },
  ])
  assert.equal((await bench.counts()).accepted, 5)
})

test('jobs that wait aside for a worker with their handler count as waiting', async () => {
  await using bench = openBench(redis, { queues: { default: { maxWaiting: 2 } } })
  const { queue } = bench.moca
  for (const n of range(2)) await queue.enqueue(defineJob({ type: 'unknown' }), n)
  await bench.startWorker({ handlers: [handle(plain, () => {})] })
  await waitFor(async () => (await bench.command('XLEN', ':q:default:t:unknown')) === 2)
  await waitFor(async () => (await bench.counts()).waiting === 2)
  await assert.rejects(queue.enqueue(plain, 1), QueueFullError)
})

test('a payload over the limit is refused, whatever it is made of', async () => {
  await using bench = openBench(redis, { queue: { maxPayloadBytes: 1_000 } })
  const { queue } = bench.moca
  await queue.enqueue(plain, 'x'.repeat(998))
  await assert.rejects(queue.enqueue(plain, 'x'.repeat(999)), { code: 'payload_too_large' })
  await assert.rejects(queue.enqueue(plain, 'ä'.repeat(500)), { code: 'payload_too_large' })
  await assert.rejects(queue.enqueueMany(plain, [{ payload: 1 }, { payload: 'x'.repeat(2_000) }]), PayloadError)
  assert.equal((await bench.counts()).accepted, 1)
})

test('the largest payload allowed by default goes through, and one byte more does not', async () => {
  await using bench = openBench(redis)
  const largest = 'x'.repeat(1024 * 1024 - 2)
  let length = 0
  const handler = handle(plain, ({ payload }) => {
    length = (payload as string).length
  })
  await bench.startWorker({ handlers: [handler] })
  await bench.moca.queue.enqueue(plain, largest)
  await assert.rejects(bench.moca.queue.enqueue(plain, `${largest}x`), PayloadError)
  await bench.settled(1, 'completed')
  assert.equal(length, largest.length)
})

test('a large payload stands beside the stream and leaves with its job', async () => {
  await using bench = openBench(redis)
  const { queue } = bench.moca
  const large = { text: 'ü'.repeat(20_000) }
  const seen: unknown[] = []
  let failures = 2
  const job = defineJob({ type: 'large', retry: { delay: 0 } })
  const [many] = await queue.enqueueMany(job, [{ payload: large, key: 'k' }])
  await queue.enqueue(job, large)
  await queue.enqueue(job, large, { delay: 10 })
  await queue.enqueue(job, 'small')
  assert.equal((await bench.keys('p:*')).length, 3)
  const [, entry] = (await bench.command<[string, string[]][]>('XRANGE', ':q:default', '-', '+'))[0] ?? []
  assert.equal(entry?.[5], '')
  assert.deepEqual((await queue.inspect(many?.id ?? ''))?.payload, large)
  const handler = handle(job, ({ payload }) => {
    if (failures-- > 0) throw new Error('not yet')
    seen.push(payload)
  })
  await bench.startWorker({ handlers: [handler] })
  await bench.settled(4, 'completed')
  assert.deepEqual(
    seen.toSorted((a, b) => JSON.stringify(a).length - JSON.stringify(b).length),
    ['small', large, large, large],
  )
  assert.deepEqual(await bench.keys('p:*'), [])
})

test('a large payload leaves also with a job that is cancelled or expires, and stays with a dead one', async () => {
  await using bench = openBench(redis)
  const { queue } = bench.moca
  const large = 'x'.repeat(20_000)
  const fatal = defineJob({ type: 'fatal', retry: { attempts: 1 } })
  const cancelled = await queue.enqueue(plain, large, { delay: '1h' })
  assert.equal(await queue.cancel(cancelled.id), 'cancelled')
  await queue.enqueue(plain, large, { expiresIn: 0 })
  const dead = await queue.enqueue(fatal, large)
  const doomed = handle(fatal, () => {
    throw new Error('no')
  })
  await bench.startWorker({ handlers: [handle(plain, () => {}), doomed] })
  await bench.settled(2)
  assert.deepEqual(await bench.keys('p:*'), [`p:default:${dead.id.replace('default.0.', '')}`])
  assert.equal((await queue.inspect(dead.id))?.payload, large)
  await queue.purge({ status: 'dead' })
  assert.deepEqual(await bench.keys('p:*'), [])
})

test('a job whose large payload is gone is a dead letter', async () => {
  await using bench = openBench(redis)
  const { id } = await bench.moca.queue.enqueue(plain, 'x'.repeat(20_000))
  await bench.command('DEL', ...(await bench.keys('p:*')).map((key) => `:${key}`))
  await bench.startWorker({ handlers: [handle(plain, () => {})] })
  await bench.settled(1, 'dead')
  const view = await bench.moca.queue.inspect(id)
  assert.equal(view?.reason, 'unreadable')
  assert.match(view.errors[0]?.message ?? '', /is gone/)
})

test('several jobs, types and queues travel together without mixing', async () => {
  await using bench = openBench(redis)
  const jobs = range(3).map((n) => defineJob({ type: `kind${n}`, queue: ['critical', 'default', 'long'][n] as string }))
  const seen: string[] = []
  await bench.startWorker({
    handlers: jobs.map((job) =>
      handle(job, ({ payload, job: { type, queue } }) => void seen.push(`${type} ${queue} ${payload}`)),
    ),
  })
  await Promise.all(
    range(60).map((n) =>
      bench.moca.queue.enqueue(jobs[n % 3] as (typeof jobs)[0], n % 3, n % 4 === 0 ? { delay: 5 } : {}),
    ),
  )
  await bench.settled(60)
  const expected = range(60).map((n) => `kind${n % 3} ${['critical', 'default', 'long'][n % 3]} ${n % 3}`)
  assert.deepEqual(seen.toSorted(), expected.toSorted())
})

test('what cannot be a job, an item or a list of them is refused by name', async () => {
  await using bench = openBench(redis)
  const { queue } = bench.moca
  const bare = { type: 'plain' } as typeof plain
  await assert.rejects(queue.enqueue(bare, 1), {
    name: ConfigError.name,
    message: /^enqueue takes a job made by defineJob/,
  })
  await assert.rejects(queue.enqueueMany(bare, [{ payload: 1 }]), {
    name: ConfigError.name,
    message: /^enqueueMany takes/,
  })
  const refused: [unknown, RegExp][] = [
    [{ payload: 1 }, /^enqueueMany takes a list of items.*found an object$/],
    [[1], /^items\[0\]: an item is an object \{ payload, \.\.\. \}; found 1$/],
    [[{ payload: 1 }, {}], /^items\[1\]: an item is an object/],
    [
      [{ payload: 1 }, { payload: 2, queue: 'long' }],
      /^items\[1\]: Option queue .*enqueueMany\(job, items, \{ queue \}\)/,
    ],
    [[{ payload: 1 }, { payload: undefined }], /^items\[1\]: The payload of plain must be a JSON value/],
    [[{ payload: 1 }, { payload: 2, delay: Number.NaN }], /^items\[1\]: delay must be a duration/],
  ]
  for (const [items, message] of refused) await assert.rejects(queue.enqueueMany(plain, items as []), { message })
  await assert.rejects(queue.enqueue(plain, 1, { payload: 2 } as object), { message: /^Option payload/ })
  await assert.rejects(queue.enqueue(plain, 1, { queue: null as never }), OptionError)
  await assert.rejects(queue.enqueueMany(plain, [{ payload: 1 }], { delay: 5 } as object), {
    message: /belongs to the items/,
  })
  await bench.moca.connect()
  assert.equal((await bench.counts()).accepted, 0)
})

test('which of many payloads did not fit is told, also by an asynchronous schema', async () => {
  await using bench = openBench(redis)
  const even = defineJob({ type: 'even', payload: z.number().refine(async (n) => n % 2 === 0, 'must be even') })
  await assert.rejects(bench.moca.queue.enqueueMany(even, [{ payload: 2 }, { payload: 3 }]), (error: PayloadError) => {
    assert.match(error.message, /^items\[1\]: .*must be even/)
    assert.equal(error.facts.index, 1)
    return true
  })
})

test('instants in the past are due at once, and the longest delay is kept', async () => {
  await using bench = openBench(redis)
  const { queue } = bench.moca
  await queue.enqueue(plain, 1, { runAt: new Date(-1) })
  await queue.enqueue(plain, 2, { delay: 0 })
  const far = await queue.enqueue(plain, 3, { delay: '36500d', expiresIn: '36500d', timeout: '36500d' })
  const farthest = await queue.enqueue(plain, 4, { runAt: new Date(8_640_000_000_000_000) })
  const { waiting, delayed } = await bench.counts()
  assert.deepEqual({ waiting, delayed }, { waiting: 2, delayed: 2 })
  const inYears = (await queue.inspect(far.id))?.dueAt?.getTime() ?? 0
  assert.ok(inYears > Date.now() + 36_499 * 86_400_000)
  assert.equal((await queue.inspect(farthest.id))?.dueAt?.getTime(), 8_640_000_000_000_000)
})

test('a key may hold any characters', async () => {
  await using bench = openBench(redis)
  const keys = ['{a}:b', 'line\nbreak', '\0', ' ', '=full', '😀', '__proto__', '"', 'a.b*?[c]']
  const results = await bench.moca.queue.enqueueMany(
    plain,
    [...keys, ...keys].map((key) => ({ payload: key, key, headers: { ['__proto__']: key } })),
  )
  assert.equal((await bench.counts()).gated, keys.length)
  assert.deepEqual(await Promise.all(results.map(async ({ id }) => (await bench.moca.queue.inspect(id))?.key)), [
    ...keys,
    ...keys,
  ])
  const seen: unknown[] = []
  await bench.startWorker({ handlers: [handle(plain, ({ payload, job }) => void seen.push([payload, job.key]))] })
  await bench.settled(keys.length * 2)
  const sorted = (pairs: readonly unknown[]) => pairs.map(String).toSorted((a, b) => (a < b ? -1 : 1))
  assert.deepEqual(sorted(seen), sorted([...keys, ...keys].map((key) => [key, key])))
})

test('a hundred thousand jobs go in one call, each with an id of its own', async () => {
  await using bench = openBench(redis)
  const results = await bench.moca.queue.enqueueMany(
    plain,
    range(100_000).map((payload) => ({ payload })),
  )
  assert.equal(new Set(results.map(({ id }) => id)).size, 100_000)
  assert.equal((await bench.counts()).waiting, 100_000)
  for (const index of [0, 999, 1_000, 54_321, 99_999]) {
    assert.equal((await bench.moca.queue.inspect(results[index]?.id ?? ''))?.payload, index)
  }
})

test('thousands of single enqueues of one turn keep their order, and a call of many stays behind them', async () => {
  await using bench = openBench(redis)
  const { queue } = bench.moca
  const singles = range(3_000).map((n) => queue.enqueue(plain, n, n % 7 === 0 ? { headers: { n: String(n) } } : {}))
  const many = queue.enqueueMany(plain, [{ payload: 3_000 }, { payload: 3_001 }])
  const last = queue.enqueue(plain, 3_002)
  const ids = [...(await Promise.all(singles)), ...(await many), await last].map(({ id }) => id)
  assert.equal(new Set(ids).size, 3_003)
  const entries = await bench.command<[string, string[]][]>('XRANGE', ':q:default', '-', '+')
  assert.deepEqual(
    entries.map(([entry, fields]) => [`default.0.${entry}`, fields[5]]),
    ids.map((id, n) => [id, String(n)]),
  )
})

test('closing lets enqueues under way settle, and refuses new ones', async () => {
  await using bench = openBench(redis)
  const moca = bench.openMoca()
  const under = range(20).map((n) => moca.queue.enqueue(plain, n))
  const closed = moca.close()
  await assert.rejects(moca.queue.enqueue(plain, 99), { code: 'closed' })
  await closed
  assert.equal(new Set((await Promise.all(under)).map(({ id }) => id)).size, 20)
  await moca.close()
  await assert.rejects(moca.queue.enqueueMany(plain, [{ payload: 1 }]), { code: 'closed' })
  assert.equal((await bench.counts()).accepted, 20)
})
