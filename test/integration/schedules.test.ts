import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { systemClock } from '../../src/clock.ts'
import { createMoca, defineJob, defineSchedule, handle, type Moca, OptionError } from '../../src/index.ts'
import { silentLogger } from '../../src/logger.ts'
import { ConfirmedCounts } from '../../src/queue/confirmed-counts.ts'
import { linkNamespace } from '../../src/queue/link-namespace.ts'
import { LossDetector } from '../../src/queue/loss-detector.ts'
import { NamespaceAccess } from '../../src/queue/namespace-access.ts'
import { Receiver } from '../../src/queue/receiver/receiver.ts'
import { fireOf, passOf } from '../../src/scheduler/fires.ts'
import { ScheduleStore, type StoredSchedule } from '../../src/scheduler/schedule-store.ts'
import { Scheduler } from '../../src/scheduler/scheduler.ts'
import { proxiedRedis } from '../support/proxied-redis.ts'
import { waitFor } from '../support/wait-for.ts'
import { openBench, type Workbench } from '../support/workbench.ts'

const servers = proxiedRedis()
const tick = defineJob({ type: 'tick', payload: z.object({ n: z.number() }) })
const secondly = (name: string, more: object = {}) =>
  defineSchedule({ name, job: tick, payload: { n: 1 }, cron: '* * * * * *', ...more })

/** A scheduler's parts on a connection of their own. */
function openParts({ namespace }: Workbench, url = servers.redis.url, maxWaiting: Record<string, number> = {}) {
  const losses = new LossDetector(silentLogger)
  const redis = { url }
  const link = linkNamespace({ redis, namespace, role: 'scheduler', losses, log: silentLogger })
  const counts = new ConfirmedCounts(losses)
  const receiver = new Receiver({ link, counts, clock: systemClock, maxWaiting, timeoutMs: 5_000 })
  const store = new ScheduleStore(new NamespaceAccess(link, namespace, 5_000))
  const define = () => store.define('config', [], 1_000)
  const scheduler = new Scheduler({ store, receiver, clock: systemClock, log: silentLogger, define })
  const close = async () => {
    await scheduler.stop()
    await link.close()
  }
  return { scheduler, store, receiver, [Symbol.asyncDispose]: close }
}

async function find(store: ScheduleStore, name: string): Promise<StoredSchedule> {
  const found = (await store.list()).find((schedule) => schedule.name === name)
  assert.ok(found)
  return found
}

/** A schedule that began so long ago. */
async function began(bench: Workbench, name: string, ageMs: number): Promise<void> {
  await bench.command('HSET', ':fires', name, `${Date.now() - ageMs} `)
}

const enqueued = async (moca: Moca, name: string) =>
  (await moca.scheduler.list()).find((schedule) => schedule.name === name)?.runs ?? []

test('each instant reaches the handler once, with what it was scheduled for and how late it is', async () => {
  await using bench = openBench(servers.redis)
  await using parts = openParts(bench)
  const seen: { name: string; at: number; late: number }[] = []
  await bench.startWorker({
    handlers: [
      handle(tick, ({ job, payload }) => {
        assert.deepEqual(payload, { n: 1 })
        assert.ok(job.schedule)
        const { name, scheduledFor, late } = job.schedule
        seen.push({ name, at: scheduledFor.getTime(), late })
      }),
    ],
  })
  assert.equal(await bench.moca.scheduler.upsert(secondly('each-second')), 'changed')
  assert.equal(await bench.moca.scheduler.upsert(secondly('each-second')), 'unchanged')
  parts.scheduler.start()
  await waitFor(() => seen.length >= 4, { timeoutMs: 15_000 })
  const instants = seen.map(({ at }) => at).toSorted((a, b) => a - b)
  const [first = 0] = instants
  assert.deepEqual(instants, instants.map((_, index) => first + index * 1_000)) // biome-ignore format: one comparison
  assert.ok(seen.every(({ name, late }) => name === 'each-second' && late >= 0 && late < 1_000))
})

test('a large payload of a schedule stands beside its queue, and comes whole', async () => {
  await using bench = openBench(servers.redis)
  await using parts = openParts(bench)
  const seen = new Map<string, number>()
  const text = defineJob({ type: 'text', payload: z.string() })
  await bench.startWorker({
    handlers: [handle(text, ({ job, payload }) => void seen.set(job.schedule?.name ?? '', payload.length))],
  })
  const sizes = new Map([
    ['large', 100_000],
    ['small', 10],
  ])
  for (const [name, length] of sizes) {
    await bench.moca.scheduler.upsert(
      defineSchedule({ name, job: text, payload: 'x'.repeat(length), cron: '* * * * * *' }),
    )
    await began(bench, name, 3_500)
  }
  const due = [...sizes.keys()].map(async (name) =>
    fireOf(await find(parts.store, name), Math.floor(Date.now() / 1_000) * 1_000),
  )
  // In one call.
  const { status } = await parts.receiver.fire(undefined, 'default', await Promise.all(due))
  assert.equal(status, 'fired')
  await waitFor(() => seen.size === 2, { timeoutMs: 15_000 })
  assert.deepEqual(seen, sizes)
})

test('one of two schedulers leads, and gives the lead to the other at once when it is stopped', async () => {
  await using bench = openBench(servers.redis)
  await using one = openParts(bench)
  await using two = openParts(bench)
  await bench.moca.scheduler.upsert(secondly('each-second'))
  one.scheduler.start()
  await waitFor(() => one.scheduler.health().isLeading, { timeoutMs: 5_000 })
  two.scheduler.start()
  await waitFor(() => two.scheduler.health().lastAnswerAgoMs < Infinity, { timeoutMs: 5_000 })
  assert.deepEqual([one.scheduler.health().isLeading, two.scheduler.health().isLeading], [true, false])
  const before = one.scheduler.health().epoch
  const stoppedAt = performance.now()
  await one.scheduler.stop()
  await waitFor(() => two.scheduler.health().isLeading, { timeoutMs: 5_000 })
  assert.ok(performance.now() - stoppedAt < 3_000, 'before the lock would have run out')
  assert.ok(two.scheduler.health().epoch > before)
})

test('a leader that was stopped past its lock fires nothing, and an instant is taken once by whoever comes', async () => {
  await using bench = openBench(servers.redis)
  await using one = openParts(bench)
  await bench.moca.scheduler.upsert(secondly('hourly', { cron: '0 * * * *' }))
  await began(bench, 'hourly', 3 * 3_600_000)
  const schedule = await find(one.store, 'hourly')
  const instant = Math.floor(Date.now() / 3_600_000) * 3_600_000
  await one.store.lead('us', 60_000)
  const fire = (leader: string | undefined, ...instants: number[]) =>
    one.receiver.fire(
      leader,
      'default',
      instants.map((at) => fireOf(schedule, at)),
    )
  assert.deepEqual(await fire('a paused one', instant), { status: 'standby' })
  const both = await Promise.all([fire(undefined, instant), fire('us', instant)])
  const outcomes = both.flatMap((answer) => (answer.status === 'fired' ? answer.outcomes : []))
  assert.deepEqual(outcomes.toSorted(), ['done', 'enqueued'])
  assert.deepEqual(await fire('us', instant - 3_600_000, instant), { status: 'fired', outcomes: ['done', 'done'] })
  assert.deepEqual(await fire('us', instant + 3_600_000), { status: 'fired', outcomes: ['early'] })
  assert.equal((await bench.counts()).waiting, 1)
})

test('attack 19: a changed schedule does not fire by its old text, nor a disabled or removed one', async () => {
  await using bench = openBench(servers.redis)
  await using parts = openParts(bench)
  const { scheduler } = bench.moca
  await scheduler.upsert(secondly('s', { cron: '0 * * * *' }))
  await began(bench, 's', 2 * 3_600_000)
  const old = await find(parts.store, 's')
  const instant = Math.floor(Date.now() / 3_600_000) * 3_600_000
  const fire = (schedule: StoredSchedule) => parts.receiver.fire(undefined, 'default', [fireOf(schedule, instant)])
  const changed = { status: 'fired', outcomes: ['changed'] }
  await scheduler.upsert(secondly('s', { cron: '0 * * * *', payload: { n: 2 } }))
  assert.deepEqual(await fire(old), changed)
  const present = await find(parts.store, 's')
  assert.equal(present.lastMs, old.lastMs, 'times that did not change go on')
  await scheduler.disable('s')
  assert.deepEqual(await fire(await find(parts.store, 's')), changed)
  assert.equal(await scheduler.enable('s'), 'done')
  assert.deepEqual(await fire(await find(parts.store, 's')), { status: 'fired', outcomes: ['done'] }, 'it began now')
  assert.equal(await scheduler.remove('s'), true)
  assert.deepEqual(await fire(present), changed)
  assert.equal((await bench.counts().catch(() => undefined))?.waiting ?? 0, 0)
})

test('overlap: skip lets a fire pass while the job before is not done, queue lets it wait', async () => {
  await using bench = openBench(servers.redis)
  await using parts = openParts(bench)
  for (const overlap of ['skip', 'queue', 'allow'] as const) {
    await bench.moca.scheduler.upsert(secondly(overlap, { overlap }))
    await began(bench, overlap, 10_000)
    const schedule = await find(parts.store, overlap)
    const now = Math.floor(Date.now() / 1_000) * 1_000
    const fires = [now - 2_000, now - 1_000].map((instant) => fireOf(schedule, instant))
    const [first, second] = fires.map((fire) => [fire])
    await parts.receiver.fire(undefined, 'default', first ?? [])
    const answer = await parts.receiver.fire(undefined, 'default', second ?? [])
    const expected = overlap === 'skip' ? 'busy' : 'enqueued'
    assert.deepEqual(answer, { status: 'fired', outcomes: [expected] }, overlap)
  }
  const { waiting, gated } = await bench.counts()
  assert.deepEqual([waiting, gated], [4, 1])
})

test('what was missed while nobody led is fired once, and noted', async () => {
  await using bench = openBench(servers.redis)
  await using parts = openParts(bench)
  await bench.moca.scheduler.upsert(secondly('hourly', { cron: '0 * * * *' }))
  await began(bench, 'hourly', 5 * 3_600_000)
  await bench.moca.scheduler.upsert(secondly('skipping', { cron: '0 * * * *', missed: 'skip', maxLate: '1s' }))
  await began(bench, 'skipping', 5 * 3_600_000)
  parts.scheduler.start()
  await waitFor(async () => (await enqueued(bench.moca, 'hourly')).length === 2, { timeoutMs: 10_000 })
  const [fired, missed] = await enqueued(bench.moca, 'hourly')
  assert.deepEqual([fired?.outcome, missed?.outcome], ['enqueued', 'passed'])
  assert.equal(missed?.scheduledFor.getTime(), (fired?.scheduledFor.getTime() ?? 0) - 3_600_000)
  assert.equal(missed?.missedFrom?.getTime(), (fired?.scheduledFor.getTime() ?? 0) - 4 * 3_600_000)
})

test('a fire that stands half done is not enqueued twice, and a missed one takes its instants', async () => {
  await using bench = openBench(servers.redis)
  await using parts = openParts(bench)
  await bench.moca.scheduler.upsert(secondly('s'))
  await began(bench, 's', 10_000)
  const schedule = await find(parts.store, 's')
  const now = Math.floor(Date.now() / 1_000) * 1_000
  await parts.receiver.fire(undefined, 'default', [fireOf(schedule, now - 5_000)])
  // Redis forgot the note and kept the job.
  await began(bench, 's', 10_000)
  const again = await parts.receiver.fire(undefined, 'default', [
    passOf(schedule, { fromMs: now - 7_000, untilMs: now - 6_000 }),
    fireOf(schedule, now - 5_000),
  ])
  assert.deepEqual(again, { status: 'fired', outcomes: ['passed', 'enqueued'] })
  assert.equal((await bench.counts()).waiting, 1)
})

test('a full queue holds up its own schedules alone, and trigger says how many may wait', async () => {
  await using bench = openBench(servers.redis, { queues: { default: { maxWaiting: 2 } } })
  await using parts = openParts(bench, servers.redis.url, { default: 2 })
  const { scheduler } = bench.moca
  const other = defineJob({ type: 'other', queue: 'other' })
  await scheduler.upsert(secondly('full'))
  await scheduler.upsert(defineSchedule({ name: 'free', job: other, payload: {}, cron: '* * * * * *' }))
  parts.scheduler.start()
  await waitFor(async () => (await enqueued(bench.moca, 'free')).length >= 6, { timeoutMs: 15_000 })
  const runs = await enqueued(bench.moca, 'free')
  const late = runs.map(({ at, scheduledFor }) => at.getTime() - scheduledFor.getTime()).toSorted((a, b) => a - b)
  assert.ok((late[2] ?? Infinity) < 100, `half of those that have room are on time: ${late.join(', ')} ms late`)
  assert.equal((await enqueued(bench.moca, 'full')).length, 2)
  await assert.rejects(scheduler.trigger('full'), /maxWaiting is 2/)
  await bench.startWorker({ handlers: [handle(tick, () => {})] })
  await waitFor(async () => (await enqueued(bench.moca, 'full')).length > 3, { timeoutMs: 15_000 })
})

test('trigger enqueues a job now, beside the instants; unknown names are refused', async () => {
  await using bench = openBench(servers.redis)
  const { scheduler, queue } = bench.moca
  await scheduler.upsert(secondly('yearly', { cron: '@yearly', jitter: '1h' }))
  await scheduler.disable('yearly')
  const { id } = await scheduler.trigger('yearly')
  assert.equal((await queue.inspect(id))?.status, 'waiting')
  const [view] = await scheduler.list({ next: 3 })
  assert.deepEqual([view?.isEnabled, view?.next.length, view?.runs[0]?.jobId], [false, 0, id])
  await assert.rejects(scheduler.trigger('nobody'), OptionError)
  assert.equal(await scheduler.enable('nobody'), 'not_found')
})

test('the schedules of a configuration replace those of the one before; those of run time stay', async () => {
  await using bench = openBench(servers.redis)
  await using parts = openParts(bench)
  const { scheduler } = bench.moca
  await scheduler.upsert(secondly('by-hand'))
  assert.deepEqual(await scheduler.defineConfigured([secondly('a'), secondly('b')]), { version: (await find(parts.store, 'b')).version, changed: 2, removed: 0 }) // biome-ignore format: one comparison
  await scheduler.disable('b')
  const { changed, removed } = await scheduler.defineConfigured([secondly('b')])
  assert.deepEqual([changed, removed], [0, 1])
  const left = await scheduler.list()
  assert.deepEqual(left.map(({ name, isEnabled }) => [name, isEnabled]), [['b', false], ['by-hand', true]]) // biome-ignore format: one comparison
  await assert.rejects(scheduler.upsert(secondly('b', { cron: '@daily' })), OptionError)
  await assert.rejects(scheduler.remove('b'), OptionError)
})

test('a namespace that Redis forgot is defined and fired again', async () => {
  await using bench = openBench(servers.redis)
  const schedules = [secondly('configured')]
  const losses = new LossDetector(silentLogger)
  const { namespace } = bench
  const redis = { url: servers.redis.url }
  const link = linkNamespace({ redis, namespace, role: 'scheduler', losses, log: silentLogger })
  const counts = new ConfirmedCounts(losses)
  const receiver = new Receiver({ link, counts, clock: systemClock, maxWaiting: {}, timeoutMs: 5_000 })
  const store = new ScheduleStore(new NamespaceAccess(link, namespace, 5_000))
  const define = () => store.define('config', schedules, 1_000)
  const scheduler = new Scheduler({ store, receiver, clock: systemClock, log: silentLogger, define })
  try {
    scheduler.start()
    await waitFor(async () => (await store.runs('configured')).length > 0, { timeoutMs: 10_000 })
    for (const key of await bench.keys()) await bench.command('DEL', `:${key}`)
    const reader = createMoca({ namespace, redis })
    await waitFor(async () => (await store.runs('configured')).length > 0, { timeoutMs: 15_000 })
    await reader.close()
  } finally {
    await scheduler.stop()
    await link.close()
  }
})
