import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { QueueScene } from '../../../test/support/queue-scene.ts'
import { type RedisServer, startRedis } from '../../../test/support/redis-server.ts'
import { OptionError } from '../../errors.ts'
import { historyHead, historyLine } from '../history.ts'
import { Inspector } from './inspector.ts'
import type { ListFilter } from './job-list.ts'
import type { JobStatus, JobView } from './job-view.ts'
import { QueueReader } from './queue-reader.ts'

let redis: RedisServer
before(async () => {
  redis = await startRedis()
})
after(() => redis.stop())

let scenes = 0
async function openScene(queues = ['default']) {
  const scene = await QueueScene.open(redis.url, `inspect${++scenes}`, queues)
  const inspector = new Inspector(new QueueReader(scene.namespace, scene.openNamespace))
  return { scene, inspector, [Symbol.dispose]: () => scene.close() }
}

const id = (place: string | undefined, queue = 'default') => `${queue}.0.${place}`

/** Follows cursors to the end. */
async function listAll(inspector: Inspector, filter: ListFilter): Promise<JobView[][]> {
  const pages: JobView[][] = []
  let cursor: string | undefined
  do {
    const page = await inspector.list({ ...filter, cursor })
    pages.push(page.jobs)
    cursor = page.cursor
  } while (cursor !== undefined)
  return pages
}

test('counts what stands where, and how long the oldest waits', async () => {
  using it = await openScene(['default', 'long'])
  const { scene, inspector } = it
  await scene.enqueue('default', [{}, {}, {}, {}, { in: 60_000 }, { key: 'a' }, { key: 'a' }])
  const [first, , third] = await scene.fetch('default', 3)
  assert.ok(first && third)
  await scene.settle('default', [first], { r: 'completed' })
  await scene.bury('default', [third])
  const { default: counts, long } = await inspector.counts()
  assert.ok(counts && long)
  const { accepted, completed, active, dead, died, waiting, delayed, gated, oldestWaitingMs } = counts
  assert.deepEqual(
    { accepted, completed, active, dead, died, waiting, delayed, gated },
    { accepted: 7, completed: 1, active: 1, dead: 1, died: 1, waiting: 2, delayed: 1, gated: 1 },
  )
  assert.ok(oldestWaitingMs !== undefined && oldestWaitingMs < 60_000)
  assert.deepEqual([long.accepted, long.oldestWaitingMs], [0, undefined])
  assert.deepEqual(Object.keys(await inspector.counts(['long'])), ['long'])
})

test('counts what was set aside for want of a handler', async () => {
  using it = await openScene()
  const { scene, inspector } = it
  await scene.enqueue('default', [{ type: 'odd' }, { type: 'odd' }, {}])
  await scene.settle('default', await scene.fetch('default', 2), { r: 'aside' })
  await scene.fetch('default', 1, 'todd')
  const { default: counts } = await inspector.counts()
  assert.deepEqual([counts?.waiting, counts?.active, counts?.aside], [2, 1, { odd: 1 }])
  assert.deepEqual(
    (await inspector.list({ status: 'waiting' })).jobs.map((job) => job.type),
    ['test.job', 'odd'],
  )
})

test('counts nothing in an empty namespace and in a queue that nobody knows', async () => {
  using it = await openScene([])
  assert.deepEqual(await it.inspector.counts(), {})
  assert.equal((await it.inspector.counts(['mail'])).mail?.accepted, 0)
  await assert.rejects(it.inspector.counts(['a.b']), OptionError)
})

test('shows a job wherever it stands', async () => {
  using it = await openScene()
  const { scene, inspector } = it
  const [waiting, held, gated, delayed] = await scene.enqueue('default', [
    {
      type: 'mail.send',
      payload: { to: 'x' },
      options: { h: '{"trace":"t1"}', x: 5_000 },
      id: 'gAAAAAAAAAAAAAAAAAAAA',
    },
    { key: 'customer:7' },
    { key: 'customer:7', payload: 2 },
    { in: 60_000 },
  ])
  const view = await inspector.inspect(id(waiting))
  assert.ok(view?.enqueuedAt && view.expiresAt)
  assert.equal(view.expiresAt.getTime() - view.enqueuedAt.getTime(), 5_000)
  assert.deepEqual(
    [view.id, view.status, view.type, view.payload, view.headers, view.attempt, view.errors],
    [id(waiting), 'waiting', 'mail.send', { to: 'x' }, { trace: 't1' }, 0, []],
  )

  const gate = await inspector.inspect(id(gated))
  assert.deepEqual([gate?.status, gate?.payload, gate?.key, gate?.waitsFor], ['gated', 2, 'customer:7', id(held)])

  const later = await inspector.inspect(id(delayed))
  assert.equal(later?.status, 'delayed')
  assert.equal(later.dueAt && later.enqueuedAt && later.dueAt.getTime() - later.enqueuedAt.getTime(), 60_000)

  const fetched = await scene.fetch('default', 2)
  const active = await inspector.inspect(id(held))
  assert.deepEqual([active?.status, active?.attempt, active?.heldBy], ['active', 1, 'w1.1'])
  assert.ok(active?.renewedMsAgo !== undefined)

  await scene.bury('default', fetched.slice(1), 'attempts used up')
  const dead = await inspector.inspect(id(held))
  assert.deepEqual([dead?.status, dead?.reason, dead?.attempt], ['dead', 'attempts used up', 1])
  assert.ok(dead?.diedAt && dead.diedAt >= (dead.enqueuedAt as Date))
  assert.deepEqual(
    dead.errors.map(({ attempt, message, stack }) => [attempt, message, stack]),
    [[1, 'Error: boom', 'Error: boom\n    at x']],
  )
  assert.equal((await inspector.inspect(id(gated)))?.status, 'waiting') // its key was let through
})

test('shows a job of the main stream, whose id is its place, and its large payload', async () => {
  using it = await openScene()
  const { scene, inspector } = it
  const [plain] = await scene.enqueue('default', [{ payload: 'small' }])
  assert.deepEqual((await inspector.inspect(id(plain)))?.payload, 'small')

  const place = 'gBBBBBBBBBBBBBBBBBBBB'
  const text = JSON.stringify('x'.repeat(20_000))
  const control = JSON.stringify({ i: place, big: true })
  await scene.run('enqueue', { q: 'default', n: 1 }, 't', JSON.stringify({ i: place, p: text.length }), text, control)
  const large = await inspector.inspect(id(place))
  assert.equal(JSON.stringify(large?.payload), text)
  const listed = (await inspector.list()).jobs.find((job) => job.id === id(place))
  assert.deepEqual([listed?.payload, listed?.payloadBytes], [undefined, text.length])
})

test('shows the line of an ended job while the history keeps it, but not those of stale attempts', async () => {
  using it = await openScene()
  const { scene, inspector } = it
  const [one, two, short] = await scene.enqueue('default', [{ type: 'a' }, { type: 'b' }, { type: 'c' }])
  const fetched = await scene.fetch('default', 3)
  const line = (index: number, type: string, keepMs: number) => {
    const head = { letter: 'm', type, outcome: 'c', attempt: 2, keepMs, fromMs: Date.now() - 40 } as const
    return `${historyHead(head)}\n${historyLine(fetched[index]?.entry ?? '', 0, 40)}`
  }
  await scene.settle('default', fetched.slice(0, 1), { r: 'completed' }, line(0, 'a', 60_000))
  await scene.settle('default', fetched.slice(2), { r: 'completed' }, line(2, 'c', 0))
  // The second one was taken over before it was reported.
  await scene.command('XDEL', ':q:default', fetched[1]?.entry ?? '')
  await scene.command('XACK', ':q:default', 'w', fetched[1]?.entry ?? '')
  assert.equal((await scene.settle('default', fetched.slice(1, 2), { r: 'completed' }, line(1, 'b', 60_000))).length, 1)

  const view = await inspector.inspect(id(one))
  assert.deepEqual(
    [view?.status, view?.type, view?.attempt, view?.durationMs, view?.payload],
    ['completed', 'a', 2, 40, undefined],
  )
  assert.ok(view?.endedAt && view.enqueuedAt)
  assert.equal(await inspector.inspect(id(two)), undefined)
  await scene.pass(5)
  assert.equal(await inspector.inspect(id(short)), undefined)
  assert.deepEqual(
    (await inspector.list({ status: 'completed' })).jobs.map((job) => job.id),
    [id(one)],
  )
  assert.deepEqual((await inspector.list()).jobs, [])
})

test('looks at a queue that never had a worker', async () => {
  using it = await openScene()
  const { scene, inspector } = it
  const [place] = await scene.enqueue('mail', [{ key: 'k' }])
  assert.equal((await inspector.inspect(id(place, 'mail')))?.status, 'waiting')
  assert.equal((await inspector.list({ queue: 'mail', status: 'waiting' })).jobs.length, 1)
  assert.deepEqual((await inspector.list({ queue: 'mail', status: 'active' })).jobs, [])
  assert.equal(await inspector.cancel(id(place, 'mail')), 'cancelled')
})

test('knows nothing of an id that never was, and refuses what is no id', async () => {
  using it = await openScene()
  assert.equal(await it.inspector.inspect(id('1-1')), undefined)
  assert.equal(await it.inspector.inspect(id('gCCCCCCCCCCCCCCCCCCCC', 'mail')), undefined)
  await assert.rejects(it.inspector.inspect('nonsense'), OptionError)
})

test('lists every job once over pages, in queue order', async () => {
  using it = await openScene()
  const { scene, inspector } = it
  const jobs = Array.from({ length: 30 }, (_, index) => ({ payload: index, type: index % 3 === 0 ? 'third' : 'other' }))
  await scene.enqueue('default', jobs)
  await scene.enqueue(
    'default',
    jobs.slice(0, 12).map((job) => ({ ...job, in: 60_000 })),
  )
  await scene.enqueue(
    'default',
    jobs.slice(0, 12).map((job) => ({ ...job, key: 'k' })),
  )
  await scene.bury('default', await scene.fetch('default', 7))
  await scene.fetch('default', 5)
  for (const limit of [1, 2, 5, 1_000]) {
    const pages = await listAll(inspector, { limit })
    assert.ok(pages.every((page) => page.length <= limit))
    const all = pages.flat()
    assert.equal(all.length, 54)
    assert.equal(new Set(all.map((job) => job.id)).size, 54)
    const statuses = [...new Set(all.map((job) => job.status))]
    assert.deepEqual(statuses, ['active', 'waiting', 'delayed', 'gated', 'dead'] satisfies JobStatus[])
    const waiting = all.filter((job) => job.status === 'waiting').map((job) => job.payload)
    assert.deepEqual(
      waiting.slice(0, 18),
      Array.from({ length: 18 }, (_, index) => index + 12),
    )
  }
  const expected: [JobStatus, number][] = [
    ['active', 5],
    ['waiting', 19],
    ['delayed', 12],
    ['gated', 11],
    ['dead', 7],
  ]
  for (const [status, count] of expected) {
    const found = (await listAll(inspector, { status, limit: 4 })).flat()
    assert.deepEqual([status, found.length], [status, count])
    assert.ok(found.every((job) => job.status === status))
  }
  const third = (await listAll(inspector, { type: 'third', limit: 3 })).flat()
  assert.equal(third.length, 18)
  assert.ok(third.every((job) => job.type === 'third'))
})

test('goes on behind jobs of one instant although the one under the cursor is gone', async () => {
  using it = await openScene()
  const { scene, inspector } = it
  const places = Array.from({ length: 700 }, (_, index) => `g${String(index).padStart(20, 'A')}`)
  const due = Date.now() + 60_000
  const flat = places.flatMap((place) => [
    't',
    JSON.stringify({ i: place }),
    '1',
    JSON.stringify({ i: place, on: due }),
  ])
  await scene.run('enqueue', { q: 'default', n: places.length }, ...flat)
  const first = await inspector.list({ limit: 600 })
  assert.equal(await inspector.cancel(first.jobs.at(-1)?.id ?? ''), 'cancelled')
  const second = await inspector.list({ limit: 600, cursor: first.cursor })
  assert.deepEqual(
    second.jobs.map((job) => job.id),
    places
      .toSorted()
      .slice(600)
      .map((place) => id(place)),
  )
})

test('reads no more than 10,000 entries for a page, and gives a cursor', async () => {
  using it = await openScene()
  const { scene, inspector } = it
  for (let batch = 0; batch < 12; batch++)
    await scene.enqueue(
      'default',
      Array.from({ length: 1_000 }, () => ({})),
    )
  await scene.enqueue('default', [{ type: 'needle' }])
  const first = await inspector.list({ type: 'needle' })
  assert.deepEqual(first.jobs, [])
  const second = await inspector.list({ type: 'needle', cursor: first.cursor })
  assert.equal(second.jobs.length, 1)
})

test('lists over all queues or one, and refuses filters that make no sense', async () => {
  using it = await openScene(['default', 'long'])
  const { scene, inspector } = it
  await scene.enqueue('default', [{}, {}])
  await scene.enqueue('long', [{}])
  assert.deepEqual(
    (await listAll(inspector, { limit: 1 })).flat().map((job) => job.queue),
    ['default', 'default', 'long'],
  )
  assert.equal((await inspector.list({ queue: 'long' })).jobs.length, 1)
  for (const filter of [
    { limit: 0 },
    { limit: 1_001 },
    { status: 'lost' as JobStatus },
    { cursor: 'abc' },
    { queue: 'A' },
  ]) {
    await assert.rejects(inspector.list(filter), OptionError)
  }
})

test('refuses a filter with a name that means nothing, and a purge of a queue that is undefined', async () => {
  using it = await openScene()
  await it.scene.enqueue('default', [{}])
  const { inspector } = it
  const calls: [() => Promise<unknown>, RegExp][] = [
    [() => inspector.purge({ queu: 'long' } as never), /^purge: there is no filter queu; did you mean queue\?$/],
    [() => inspector.purge({ queue: undefined }), /^purge: queue is undefined; leave it out to purge all queues$/],
    [() => inspector.purge(undefined as never), /^purge takes a filter: \{ queue, type, /],
    [() => inspector.retryAll({ olderThanMs: 5 } as never), /^retryAll: .* did you mean olderThan\?$/],
    [() => inspector.retryAll({ olderThan: '5' as never }), /^olderThan must be a duration/],
    [() => inspector.list({ staus: 'dead' } as never), /^list: there is no filter staus; did you mean status\?$/],
    [() => inspector.list({ colour: 1 } as never), /^list: .* known are queue, status, type, limit, cursor$/],
  ]
  for (const [call, message] of calls) await assert.rejects(call, { name: OptionError.name, message })
  assert.equal((await inspector.counts()).default?.waiting, 1)
})

test('refuses the cursor of a listing of another queue', async () => {
  using it = await openScene(['default', 'long'])
  for (const queue of ['default', 'long']) await it.scene.enqueue(queue, [{}, {}])
  const { cursor } = await it.inspector.list({ queue: 'default', limit: 1 })
  await assert.rejects(it.inspector.list({ queue: 'long', cursor }), /cursor does not belong to this listing/)
})

test('retries and cancels single jobs, and says what became of each', async () => {
  using it = await openScene()
  const { scene, inspector } = it
  const [dead, waiting, active] = await scene.enqueue('default', [{}, {}, {}])
  const fetched = await scene.fetch('default', 3)
  await scene.bury('default', fetched.slice(0, 1))
  await scene.settle('default', fetched.slice(1, 2), { r: 'released' })
  assert.equal(await inspector.retry(id(waiting)), 'not_dead')
  assert.equal(await inspector.retry(id('1-1')), 'not_found')
  assert.equal(await inspector.cancel(id(dead)), 'not_found')
  assert.equal(await inspector.retry(id(dead)), 'retried')
  const view = await inspector.inspect(id(dead))
  assert.deepEqual([view?.status, view?.attempt, view?.errors.length, view?.reason], ['waiting', 0, 1, undefined])
  assert.equal(await inspector.cancel(id(active)), 'active')
  assert.equal(await inspector.cancel(id(waiting)), 'cancelled')
  assert.equal(await inspector.inspect(id(waiting)), undefined)
})

test('retries dead letters by queue, type and age', async () => {
  using it = await openScene()
  const { scene, inspector } = it
  await scene.enqueue(
    'default',
    Array.from({ length: 600 }, (_, index) => ({ type: index % 2 === 0 ? 'even' : 'odd' })),
  )
  await scene.bury('default', await scene.fetch('default', 600))
  assert.deepEqual(await inspector.retryAll({ olderThan: '1m' }), { moved: 0, skipped: 0, keptKeys: 0 })
  assert.deepEqual(await inspector.retryAll({ type: 'even', dryRun: true }), { moved: 300, skipped: 0, keptKeys: 0 })
  assert.equal((await inspector.counts()).default?.dead, 600)
  assert.deepEqual(await inspector.retryAll({ type: 'even' }), { moved: 300, skipped: 0, keptKeys: 0 })
  assert.deepEqual(await inspector.retryAll({ queue: 'long' }), { moved: 0, skipped: 0, keptKeys: 0 })
  const { dead, waiting, revived } = (await inspector.counts()).default ?? {}
  assert.deepEqual({ dead, waiting, revived }, { dead: 300, waiting: 300, revived: 300 })
  assert.ok((await inspector.list({ status: 'waiting', limit: 500 })).jobs.every((job) => job.type === 'even'))
})

test('purges everything but active jobs, and only what was chosen', async () => {
  using it = await openScene()
  const { scene, inspector } = it
  const many = (job: object, count = 300) =>
    scene.enqueue(
      'default',
      Array.from({ length: count }, () => job),
    )
  await many({})
  await scene.bury('default', await scene.fetch('default', 300))
  await many({})
  await many({ in: 60_000 })
  await many({ key: 'k', type: 'keyed' })
  await scene.fetch('default', 10)
  const state = async () => {
    const { waiting, active, delayed, gated, dead, purged } = (await inspector.counts()).default ?? {}
    return { waiting, active, delayed, gated, dead, purged }
  }
  const full = { waiting: 291, active: 10, delayed: 300, gated: 299, dead: 300, purged: 0 }
  assert.deepEqual(await state(), full)
  assert.deepEqual(await inspector.purge({ dryRun: true }), { moved: 1_190, skipped: 0, keptKeys: 0 })
  assert.deepEqual(await state(), full)
  assert.deepEqual(await inspector.purge({ status: 'delayed' }), { moved: 300, skipped: 0, keptKeys: 0 })
  // The holder of the key goes; the next one is let through after the purge began, and stays.
  assert.deepEqual(await inspector.purge({ status: 'waiting', type: 'keyed' }), { moved: 1, skipped: 0, keptKeys: 0 })
  assert.deepEqual(await state(), { ...full, delayed: 0, gated: 298, purged: 301 })
  assert.deepEqual(await inspector.purge({ queue: 'default' }), { moved: 889, skipped: 0, keptKeys: 0 })
  assert.deepEqual(await state(), { waiting: 0, active: 10, delayed: 0, gated: 0, dead: 0, purged: 1_190 })
  await assert.rejects(inspector.purge({ status: 'active' as never }), OptionError)
})

test('a dead letter that keeps its key shows it, and what waits behind it', async () => {
  using it = await openScene()
  const { scene, inspector } = it
  const options = { b: 1 }
  const [dead, behind, last] = await scene.enqueue('default', [{ key: 'k', options }, { key: 'k' }, { key: 'k' }])
  const [skipping] = await scene.enqueue('default', [{ key: 'other' }])
  await scene.bury('default', await scene.fetch('default', 2))
  const view = await inspector.inspect(id(dead))
  assert.deepEqual([view?.status, view?.key, view?.keepsKey, view?.waitingBehind], ['dead', 'k', true, 2])
  const gated = await inspector.inspect(id(behind))
  assert.deepEqual([gated?.status, gated?.waitsFor, gated?.isBlocked], ['gated', id(dead), true])
  const other = await inspector.inspect(id(skipping))
  assert.deepEqual([other?.status, other?.keepsKey, other?.waitingBehind], ['dead', false, undefined])
  const listed = (await inspector.list({ status: 'dead' })).jobs
  assert.deepEqual(
    new Map(listed.map((job) => [job.id, job.keepsKey])),
    new Map([
      [id(dead), true],
      [id(skipping), false],
    ]),
  )
  const { accepted, dead: count, gated: waiting } = (await inspector.counts()).default ?? {}
  assert.deepEqual({ accepted, count, waiting }, { accepted: 4, count: 2, waiting: 2 })
  assert.equal(await inspector.cancel(id(skipping)), 'not_found')
  assert.equal(await inspector.cancel(id(last)), 'cancelled')
})

test('a dead letter that keeps its key runs again under it, or lets the next one through', async () => {
  using it = await openScene()
  const { scene, inspector } = it
  const pair = (key: string) => [{ key, options: { b: 1 } }, { key }]
  const places = await scene.enqueue('default', [...pair('retried'), ...pair('cancelled'), ...pair('purged')])
  await scene.bury('default', await scene.fetch('default', 9))
  const [retried, , cancelled, afterCancelled, purged, afterPurged] = places
  const frontPlaces = async () => (await scene.fetch('default', 9, 'f')).map(({ place }) => place)
  assert.deepEqual(await inspector.retryAll({ dryRun: true }), { moved: 3, skipped: 0, keptKeys: 3 })
  assert.equal(await inspector.retry(id(retried)), 'retried')
  assert.deepEqual(await frontPlaces(), [retried])
  assert.equal(await inspector.cancel(id(cancelled)), 'cancelled')
  assert.equal(await inspector.cancel(id(cancelled)), 'not_found')
  assert.deepEqual(await frontPlaces(), [afterCancelled])
  assert.deepEqual(await inspector.purge({ status: 'dead' }), { moved: 1, skipped: 0, keptKeys: 1 })
  assert.deepEqual(await frontPlaces(), [afterPurged])
  assert.equal(await inspector.inspect(id(purged)), undefined)
})

test('a purge of a whole queue leaves nothing that waits behind a dead letter', async () => {
  using it = await openScene()
  const { scene, inspector } = it
  await scene.enqueue('default', [{ key: 'k', options: { b: 1 } }, { key: 'k' }, { key: 'k' }])
  await scene.bury('default', await scene.fetch('default', 1))
  assert.deepEqual(await inspector.purge({ queue: 'default' }), { moved: 3, skipped: 0, keptKeys: 1 })
  const { accepted, purged } = (await inspector.counts()).default ?? {}
  assert.deepEqual({ accepted, purged }, { accepted: 3, purged: 3 })
})

test('tells of losses and workers', async () => {
  using it = await openScene()
  const { scene, inspector } = it
  assert.deepEqual(await inspector.losses(), [])
  await scene.run('lose', { boot: '7-0', q: 'default', lost: 3, from: 1_000, to: 2_000 })
  const [loss, ...others] = await inspector.losses()
  assert.deepEqual(
    [loss?.queue, loss?.lost, loss?.from.getTime(), loss?.to.getTime(), loss?.boot],
    ['default', 3, 1_000, 2_000, '7-0'],
  )
  assert.deepEqual(others, [])
  await scene.run('beat', { w: 'w1', about: JSON.stringify({ host: 'h', pid: 1 }), queues: [], lease: 10_000 })
  const [worker] = await inspector.workers()
  assert.deepEqual([worker?.id, worker?.about], ['w1', { host: 'h', pid: 1 }])
  assert.ok(worker?.seenAt)
})

test('losses are acknowledged once, and a larger one is news again', async () => {
  using it = await openScene()
  const { scene, inspector } = it
  const lose = (queue: string, lost: number) =>
    scene.run('lose', { boot: '7-0', q: queue, lost, from: 1_000, to: 2_000 })
  const seen = async () =>
    Object.fromEntries(
      (await inspector.losses()).map(({ queue, lost, acknowledgedBy }) => [queue, [lost, acknowledgedBy]]),
    )
  await lose('default', 3)
  await lose('mail', 1)
  assert.equal(await inspector.acknowledgeLosses({ by: 'anna', queue: 'default' }), 1)
  assert.equal(await inspector.acknowledgeLosses({ by: 'ben' }), 1)
  assert.equal(await inspector.acknowledgeLosses({ by: 'ben' }), 0)
  assert.deepEqual(await seen(), { default: [3, 'anna'], mail: [1, 'ben'] })
  await lose('default', 2)
  await lose('mail', 5)
  assert.deepEqual(await seen(), { default: [3, 'anna'], mail: [5, undefined] })
})

test('opens the namespace again after the server forgot everything', async () => {
  using it = await openScene()
  const { scene } = it
  await scene.enqueue('default', [{}])
  await scene.command('DEL', ':layout')
  let again: QueueScene | undefined
  const reader = new QueueReader(scene.namespace, async () => {
    const first = await scene.openNamespace()
    if (first.connection.isOpen) return first
    again = await QueueScene.open(redis.url, scene.namespace)
    return again.openNamespace()
  })
  assert.equal((await new Inspector(reader).counts()).default?.waiting, 1)
  again?.close()
})
