import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { defineJob, handle } from '../../src/index.ts'
import { QueueScene } from '../support/queue-scene.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { waitFor } from '../support/wait-for.ts'
import { gate, openBench, type Workbench } from '../support/workbench.ts'

// Jobs of workers that died. The scene plays a worker that fetches and is never heard of again.

let redis: RedisServer
before(async () => {
  redis = await startRedis()
})
after(() => redis.stop())

const job = defineJob({ type: 'risky', retry: { delay: 0 } })
const many = (count: number) => Array.from({ length: count }, (_, payload) => ({ payload }))

async function openScene(bench: Workbench) {
  const scene = await QueueScene.open(redis.url, bench.namespace)
  /** Only attempts from the entry `from` on: what a living worker runs has not renewed its lease within 1 ms either. */
  const rescue = async (letter: 'm' | 's' | 'a', from?: string) => {
    await scene.pass(2)
    const cursor = from === undefined ? '0-0' : idBefore(from)
    const page = { q: 'default', s: letter, lease: 1, cursor, limit: 100, consumer: 'w1.1', maxStalls: 3 }
    const sent = { at: await scene.serverMs(), within: 1_000 }
    return scene.run<[string, number, number, ...string[]]>('rescue', { ...page, ...sent })
  }
  return Object.assign(scene, { rescue, [Symbol.dispose]: () => scene.close() })
}

function idBefore(entry: string): string {
  const [ms, sequence] = entry.split('-').map(BigInt) as [bigint, bigint]
  return sequence > 0n ? `${ms}-${sequence - 1n}` : `${ms - 1n}-${2n ** 64n - 1n}`
}

/** Lets the scene's worker die with jobs in its hands, so often. */
async function die(scene: Awaited<ReturnType<typeof openScene>>, count: number, times: number): Promise<void> {
  for (let time = 0; time < times; time++) {
    const letter = (['m', 's', 'a'] as const)[Math.min(time, 2)] ?? 'a'
    const fetched = await scene.fetch('default', count, letter)
    assert.equal(fetched.length, count)
    const [, rescued] = await scene.rescue(letter, fetched[0]?.entry)
    assert.equal(rescued, count)
  }
}

// Each waits for a lease to end, so they wait together.
describe('after a lease has ended', { concurrency: true }, () => {
  const lease = { lease: '1s', sweepInterval: 100 } as const

  test('a worker takes over the jobs of one that died, uncharged, and says from whom', async () => {
    await using bench = openBench(redis)
    using scene = await openScene(bench)
    const runs: { attempt: number; stalls: number }[] = []
    const handler = handle(job, ({ attempt, job: { stalls } }) => {
      runs.push({ attempt, stalls })
      if (runs.length === 1) throw new Error('to keep its record')
    })
    const slow = defineJob({ type: 'risky', retry: { delay: '1h' } })
    const { id } = await bench.moca.queue.enqueue(job, 1)
    await scene.fetch('default', 1)
    await bench.startWorker({ handlers: [handle(slow, handler.run as () => void)], ...lease })
    await bench.settled(1)
    assert.deepEqual(runs, [{ attempt: 1, stalls: 1 }])
    const view = await bench.moca.queue.inspect(id)
    assert.deepEqual([view?.status, view?.stalls, view?.attempt], ['delayed', 1, 1])
    assert.match(view?.rescuedBy ?? '', new RegExp(`^${bench.workers[0]?.id}\\.`))
    assert.ok(view?.rescuedAt && view.enqueuedAt && view.rescuedAt > view.enqueuedAt)
  })

  test('a job that is running is never taken over, however long it runs', async () => {
    await using bench = openBench(redis)
    const { opened, open } = gate()
    let runs = 0
    const handler = handle(job, async () => {
      runs++
      await opened
    })
    for (let count = 0; count < 2; count++) await bench.startWorker({ handlers: [handler], ...lease })
    const { id } = await bench.moca.queue.enqueue(job, 1)
    const from = Date.now()
    // Two and a half leases.
    await waitFor(() => Date.now() - from > 2_500)
    assert.equal(runs, 1)
    assert.ok(((await bench.moca.queue.inspect(id))?.renewedMsAgo ?? 9_999) < 1_000)
    open()
    await bench.settled(1, 'completed')
    assert.equal((await bench.counts()).rescued, 0)
  })

  test('a job that lacks a handler for too long is a dead letter', async () => {
    await using bench = openBench(redis)
    const { id } = await bench.moca.queue.enqueue(defineJob({ type: 'unknown' }), { a: 1 })
    await bench.moca.queue.enqueue(job, 1)
    await bench.startWorker({ handlers: [handle(job, () => {})], ...lease, unhandledGrace: 300 })
    await waitFor(async () => (await bench.counts()).dead === 1, { timeoutMs: 10_000 })
    const view = await bench.moca.queue.inspect(id)
    assert.deepEqual([view?.status, view?.reason, view?.payload], ['dead', 'no handler', { a: 1 }])
    assert.equal((await bench.counts()).completed, 1)
  })

  test('workers that died are forgotten, with their consumers', async () => {
    await using bench = openBench(redis)
    using scene = await openScene(bench)
    await scene.run('beat', { w: 'w1', about: '{"pid":1}', queues: ['default'], lease: 1 })
    await scene.fetch('default', 1) // makes its consumer
    assert.deepEqual(
      (await bench.moca.queue.workers()).map(({ id }) => id),
      ['w1'],
    )
    await bench.startWorker({ handlers: [handle(job, () => {})], ...lease })
    await waitFor(async () => !(await bench.moca.queue.workers()).some(({ id }) => id === 'w1'), { timeoutMs: 15_000 })
    const consumers = await bench.command<string[][]>('XINFO', 'CONSUMERS', ':q:default', 'w')
    assert.ok(consumers.every(([, name]) => !name?.startsWith('w1.')))
  })
})

test('jobs rescued once run side by side: most of them had only been fetched', async () => {
  await using bench = openBench(redis)
  using scene = await openScene(bench)
  await bench.moca.queue.enqueueMany(job, many(8))
  await die(scene, 8, 1)
  const { opened, open } = gate()
  let running = 0
  const handler = handle(job, async () => {
    running++
    await opened
  })
  await bench.startWorker({ handlers: [handler], concurrency: 8 })
  await waitFor(() => running === 8)
  open()
  await bench.settled(8, 'completed')
  const { rescued, dead } = await bench.counts()
  assert.deepEqual({ rescued, dead }, { rescued: 8, dead: 0 })
})

test('from the second rescue on a job runs alone in its process', async () => {
  await using bench = openBench(redis)
  using scene = await openScene(bench)
  await bench.moca.queue.enqueueMany(job, [{ payload: 'suspect 1' }, { payload: 'suspect 2' }])
  await die(scene, 2, 2)
  const running = new Set<string>()
  const together: string[] = []
  const handler = handle(job, async ({ payload }) => {
    const name = String(payload)
    running.add(name)
    if ([...running].some((other) => other.startsWith('suspect')) && running.size > 1)
      together.push([...running].join())
    // Long enough for others to be fetched beside it, were that allowed.
    await new Promise((resolve) => setTimeout(resolve, name.startsWith('suspect') ? 100 : 1))
    running.delete(name)
  })
  await bench.moca.queue.enqueueMany(
    job,
    Array.from({ length: 200 }, (_, n) => ({ payload: `healthy ${n}` })),
  )
  await bench.startWorker({ handlers: [handler], concurrency: 5 })
  await bench.settled(202, 'completed')
  assert.deepEqual(together, [])
})

test('a job that must run alone, beside one that runs for long, does not hold up the critical ones', async () => {
  await using bench = openBench(redis)
  using scene = await openScene(bench)
  const { opened, open } = gate()
  const running = new Set<string>()
  const handler = handle(job, async ({ payload }) => {
    running.add(String(payload))
    if (payload === 'long') await opened
    running.delete(String(payload))
  })
  const urgent = defineJob({ type: 'urgent', queue: 'critical' })
  const waited: number[] = []
  const urgentHandler = handle(urgent, ({ payload }) => void waited.push(Date.now() - Number(payload)))
  // With a lease of a second, no drain is longer, and signs of life come four times in it.
  await bench.startWorker({ handlers: [handler, urgentHandler], lease: '1s' })
  await bench.moca.queue.enqueue(job, 'long')
  await waitFor(() => running.has('long'))
  const from = Date.now()
  await waitFor(() => Date.now() - from > 1_100)
  await scene.enqueue('default', [{ type: 'risky', payload: 'alone', id: 'g1', options: { c: 1, s: 2, i: 'g1' } }])
  const [entry] = await scene.fetch('default', 1)
  await scene.settle('default', entry ? [entry] : [], { r: 'released' })
  assert.equal(await bench.command('XLEN', ':q:default:alone'), 1)
  while (Date.now() - from < 3_500) await bench.moca.queue.enqueue(urgent, Date.now())
  assert.ok(waited.length > 100)
  assert.ok(Math.max(...waited) < 800, `one waited for ${Math.max(...waited)} ms`)
  assert.equal(await bench.command('XLEN', ':q:default:alone'), 1)
  open()
  await waitFor(async () => (await bench.counts()).completed === 2, { timeoutMs: 10_000 })
})

test('jobs that must run alone take at most half of the workers', async () => {
  await using bench = openBench(redis)
  using scene = await openScene(bench)
  await bench.moca.queue.enqueueMany(job, many(4))
  await die(scene, 4, 2)
  const { opened, open } = gate()
  let alone = 0
  const handler = handle(job, async ({ job: { stalls } }) => {
    if (stalls === 0) return
    alone++
    await opened
  })
  for (let count = 0; count < 4; count++) await bench.startWorker({ handlers: [handler], lease: '1s' })
  await waitFor(() => alone === 2, { timeoutMs: 10_000 })
  const from = Date.now()
  // Six signs of life of each; the others work meanwhile.
  await waitFor(() => Date.now() - from > 1_500)
  await bench.moca.queue.enqueueMany(job, many(20))
  await bench.settled(20, 'completed')
  assert.equal(alone, 2)
  open()
  await bench.settled(24, 'completed')
})

test('a suspect is not fetched ahead: it waits where any worker can take it', async () => {
  await using bench = openBench(redis)
  using scene = await openScene(bench)
  const { opened, open } = gate()
  const seen: unknown[] = []
  const handler = handle(job, async ({ payload }) => {
    seen.push(payload)
    if (payload === 'long') await opened
  })
  const first = await bench.startWorker({ handlers: [handler], concurrency: 1 })
  await bench.moca.queue.enqueue(job, 'long')
  await waitFor(() => seen.length === 1)
  const { id } = await bench.moca.queue.enqueue(job, 'suspect')
  await die(scene, 1, 1)
  await waitFor(() => first.health().running === 1)
  assert.equal((await bench.moca.queue.inspect(id))?.status, 'waiting')
  await bench.startWorker({ handlers: [handler], concurrency: 1 })
  await bench.settled(1, 'completed')
  assert.deepEqual([seen, bench.events[0]?.id], [['long', 'suspect'], id])
  open()
  await bench.settled(2, 'completed')
})

test('a job that its workers die of again and again is a dead letter; its key goes on', async () => {
  await using bench = openBench(redis)
  using scene = await openScene(bench)
  const [poison, next] = await bench.moca.queue.enqueueMany(job, [
    { payload: 'poison', key: 'k' },
    { payload: 'next', key: 'k' },
  ])
  await die(scene, 1, 3)
  assert.equal((await bench.moca.queue.inspect(poison?.id ?? ''))?.stalls, 3)
  assert.equal((await scene.fetch('default', 1, 'a')).length, 1)
  const [, rescued, dead] = await scene.rescue('a')
  assert.deepEqual([rescued, dead], [0, 1])
  const view = await bench.moca.queue.inspect(poison?.id ?? '')
  assert.deepEqual([view?.status, view?.reason, view?.stalls, view?.attempt], ['dead', 'stalled', 4, 0])
  assert.match(view?.errors.at(-1)?.message ?? '', /The worker w1\.1 died while it ran this job/)
  await bench.startWorker({ handlers: [handle(job, () => {})] })
  const [event] = await bench.settled(1, 'completed')
  assert.equal(event?.id, next?.id)
})

test('a suspect that succeeds has done so; one that fails is retried as a suspect', async () => {
  await using bench = openBench(redis)
  using scene = await openScene(bench)
  await bench.moca.queue.enqueueMany(job, many(2))
  await die(scene, 2, 2)
  const runs: string[] = []
  const handler = handle(job, ({ payload, attempt, job: { stalls } }) => {
    runs.push(`${payload}: attempt ${attempt}, stalls ${stalls}`)
    if (payload === 1 && attempt === 1) throw new Error('again')
  })
  await bench.startWorker({ handlers: [handler] })
  await bench.settled(2, 'completed')
  assert.deepEqual(
    runs.toSorted((a, b) => a.localeCompare(b)),
    ['0: attempt 1, stalls 2', '1: attempt 1, stalls 2', '1: attempt 2, stalls 2'],
  )
})

test('a job whose type a worker lacks is left to those that have it, and holds up nothing', async () => {
  await using bench = openBench(redis)
  const other = defineJob({ type: 'other' })
  const seen: string[] = []
  const note = (name: string) => (context: { payload: unknown; attempt: number }) => {
    seen.push(`${name} ${context.payload} ${context.attempt}`)
  }
  await bench.startWorker({ handlers: [handle(job, note('risky'))] })
  const [first] = await bench.moca.queue.enqueueMany(other, many(5))
  await bench.moca.queue.enqueueMany(job, many(5))
  await bench.settled(5, 'aside')
  await bench.settled(5, 'completed')
  assert.equal((await bench.moca.queue.inspect(first?.id ?? ''))?.status, 'waiting')
  assert.equal((await bench.counts()).waiting, 5)
  // A deploy brings the type.
  await bench.startWorker({ handlers: [handle(other, note('other'))] })
  await bench.settled(10, 'completed')
  const expected = ['other', 'risky'].flatMap((name) => [0, 1, 2, 3, 4].map((n) => `${name} ${n} 1`))
  assert.deepEqual(
    seen.toSorted((a, b) => a.localeCompare(b)),
    expected,
  )
})

test('workers with different types share one queue', async () => {
  await using bench = openBench(redis)
  const types = ['a', 'b', 'c'].map((type) => defineJob({ type }))
  const seen = new Map<string, number>()
  for (const type of types) {
    const handler = handle(type, ({ job: { type: name } }) => void seen.set(name, (seen.get(name) ?? 0) + 1))
    await bench.startWorker({ handlers: [handler] })
  }
  for (let round = 0; round < 20; round++) {
    for (const type of types) await bench.moca.queue.enqueue(type, round, round % 5 === 0 ? { key: 'k' } : {})
  }
  await bench.settled(60, 'completed', { timeoutMs: 20_000 })
  assert.deepEqual([...seen.values()], [20, 20, 20])
})
