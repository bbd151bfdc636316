import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { QueueScene, type SceneJob } from '../../../test/support/queue-scene.ts'
import { type RedisServer, startRedis } from '../../../test/support/redis-server.ts'
import { waitFor } from '../../../test/support/wait-for.ts'
import { systemClock } from '../../clock.ts'
import { defineJob, handle } from '../../job/job.ts'
import type { Logger } from '../../logger.ts'
import { accountQueues } from '../../verify/queue-account.ts'
import { type Attempt, newAttempt } from './attempt.ts'
import { parseOptions } from '../entry.ts'
import { Lane } from './lane.ts'
import { LeaseTable } from './lease-table.ts'
import type { Outcome } from './outcome.ts'
import { QueueReader } from '../inspector/queue-reader.ts'
import { Settler } from './settler.ts'
import { openSession, type WorkerSession } from './worker-session.ts'
import { LossDetector } from '../loss-detector.ts'
import { silentLogger } from '../../logger.ts'

// The settler of a worker that a test plays, against a real server.

const SLOTS = 1_000
const COMPLETED: Outcome = { r: 'completed' }
const handler = handle(defineJob({ type: 'test.job', keep: { completed: '1h' } }), () => {})

let redis: RedisServer
before(async () => {
  redis = await startRedis()
})
after(() => redis.stop())

let scenes = 0
async function openSettler() {
  const scene = await QueueScene.open(redis.url, `settler${++scenes}`)
  const lane = new Lane('default', 1, 100)
  const table = LeaseTable.create(SLOTS)
  const settled: [place: string, outcome: string][] = []
  const stale: string[] = []
  const warnings: string[] = []
  const log: Logger = {
    ...silentLogger,
    warn: (facts, message) => warnings.push(`${message}: ${(facts as { reason: string }).reason}`),
  }
  const open = (number: number) =>
    openSession({
      redis: { url: redis.url },
      namespace: scene.namespace,
      workerId: 'w1',
      number,
      queues: ['default'],
      losses: new LossDetector(silentLogger),
      before: undefined,
      running: () => [],
      onNewBoot: async () => {},
      onConsumer: () => {},
    })
  const session: WorkerSession = await open(1)
  const settler = new Settler({
    lanes: [lane],
    table,
    workerId: 'w1',
    clock: systemClock,
    log,
    session: () => session,
    serverNow: () => Date.now(),
    history: { entries: 1_000, ageMs: 3_600_000 },
    onSettled: ({ place }, { r }) => settled.push([place, r]),
    onStale: ({ place }) => stale.push(place),
  })
  /** Enqueues jobs and fetches those that can run. */
  const fetch = async (...jobs: SceneJob[]): Promise<Attempt[]> => {
    await scene.enqueue('default', jobs)
    const reply = await session.read.send<[string, [string, string[]][]][]>(
      ['XREADGROUP', 'GROUP', 'w', session.consumer, 'COUNT', '1000', 'STREAMS', `${scene.prefix}q:default`, '>'],
    ) // biome-ignore format: one command
    return (reply[0]?.[1] ?? []).map(([entry, fields]) => {
      const options = parseOptions(fields[3] ?? '')
      const slot = table.hold(0, entry, 0)
      table.start(slot, Number.POSITIVE_INFINITY)
      const place = options.i ?? entry
      const { bootId } = session
      const type = 'test.job'
      return newAttempt({ lane, letter: 'm', entry, place, type, handler, options, payloadText: '', slot, bootId }, 0)
    })
  }
  const settle = (attempts: readonly Attempt[]) => {
    for (const attempt of attempts) settler.settle(attempt, COMPLETED, performance.now())
  }
  return {
    scene,
    table,
    settler,
    settled,
    stale,
    warnings,
    fetch,
    settle,
    done: () => waitFor(() => settler.unsettled === 0, { describe: 'all outcomes to be confirmed' }),
    counts: async () => {
      const [names, numbers] = [['completed', 'stale'], [] as number[]]
      for (const name of names) numbers.push(Number((await scene.command('HGET', ':q:default:n', name)) ?? 0))
      return { completed: numbers[0], stale: numbers[1] }
    },
    findings: async () => {
      const reader = new QueueReader(scene.namespace, scene.openNamespace)
      return (await accountQueues(reader)).findings.map(({ kind, found }) => `${kind}: ${found}`)
    },
    history: async () => {
      const entries = await scene.command<[string, string[]][]>('XRANGE', ':q:default:done', '-', '+')
      return entries.map(([, fields]) => ({ lines: (fields[3] ?? '').split('\n').length - 1, void: fields[5] ?? '' }))
    },
    [Symbol.asyncDispose]: async () => {
      session.destroy()
      scene.close()
    },
  }
}

test('a stale outcome is told, counts for nothing, and leaves no slot behind; the others of its batch are settled', async () => {
  await using it = await openSettler()
  const attempts = await it.fetch({}, {}, {})
  const [, taken] = attempts
  assert.ok(taken)
  // Another worker took it over.
  await it.scene.command('XDEL', ':q:default', taken.entry)
  await it.scene.command('XACK', ':q:default', 'w', taken.entry)
  it.settle(attempts)
  await it.done()
  assert.deepEqual(it.stale, [taken.place])
  assert.equal(it.settled.length, 2)
  assert.equal(it.table.freeSlots, SLOTS)
  assert.deepEqual(await it.counts(), { completed: 2, stale: 1 })
  assert.deepEqual(await it.history(), [{ lines: 3, void: `m:${taken.entry}` }])
})

test('an outcome that Redis cannot apply holds up no other, is sent again, and every job is accounted for', async () => {
  await using it = await openSettler()
  await it.scene.command('SET', ':g:default:k', 'of somebody else')
  const attempts = await it.fetch({ key: 'k' }, ...Array.from({ length: 200 }, () => ({})))
  const [keyed, ...others] = attempts
  assert.ok(keyed)
  it.settle(attempts)
  await waitFor(() => it.settled.length === others.length, { describe: 'the others to be settled' })
  it.settle(await it.fetch({}, {}))
  await waitFor(() => it.settled.length === others.length + 2, { describe: 'later ones to be settled' })
  assert.equal(it.settler.unsettled, 1)
  assert.equal((await it.counts()).completed, others.length + 2)
  assert.equal(it.table.freeSlots, SLOTS - 1)
  assert.equal(it.warnings.length, 1, 'told once, though it is tried again and again')
  assert.match(it.warnings[0] ?? '', /WRONGTYPE/)

  await it.scene.command('DEL', ':g:default:k')
  await it.done()
  assert.deepEqual(it.settled.at(-1), [keyed.place, 'completed'])
  assert.equal(it.table.freeSlots, SLOTS)
  assert.deepEqual(await it.counts(), { completed: others.length + 3, stale: 0 })
  assert.deepEqual(await it.findings(), [])
})

test('outcomes that Redis refuses altogether are sent again until it takes them', async () => {
  await using it = await openSettler()
  const attempts = await it.fetch({}, {}, { key: 'k' })
  await it.scene.command('CONFIG', 'SET', 'min-replicas-to-write', '1')
  it.settle(attempts)
  await waitFor(() => it.warnings.length > 0, { describe: 'the refusal' })
  assert.match(it.warnings[0] ?? '', /NOREPLICAS/)
  assert.equal(it.settler.unsettled, 3)
  await it.scene.command('CONFIG', 'SET', 'min-replicas-to-write', '0')
  await it.done()
  assert.equal(it.settled.length, 3)
  assert.deepEqual(await it.counts(), { completed: 3, stale: 0 })
  assert.deepEqual(await it.findings(), [])
})

test('a history that cannot be written holds up nothing, and is told', async () => {
  await using it = await openSettler()
  await it.scene.command('SET', ':q:default:done', 'of somebody else')
  it.settle(await it.fetch({}, {}))
  await it.done()
  assert.equal(it.settled.length, 2)
  assert.match(it.warnings.join(), /history.*WRONGTYPE/)
  assert.equal((await it.counts()).completed, 2)
})
