import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { Project } from '../../test/support/command-line.ts'
import { outboxScenes } from '../../test/support/outbox-scene.ts'
import { ReceiverScene } from '../../test/support/receiver-scene.ts'
import { startRedis } from '../../test/support/redis-server.ts'
import { waitFor } from '../../test/support/wait-for.ts'
import { silentLogger } from '../logger.ts'
import { Relay } from '../outbox/relay.ts'
import { QueueSink } from '../outbox/sinks/queue-sink.ts'
import { Subscribers } from '../outbox/subscribers.ts'
import { PostgresConnection } from '../postgres/connection.ts'

// `moca outbox rebase` and `moca verify` as processes, with relays of this one that bring jobs into a real Redis.

const openScene = outboxScenes()

async function open(t: TestContext) {
  const redis = await startRedis()
  t.after(() => redis.stop())
  const scene = await openScene(t)
  const it = new ReceiverScene(redis.url, 'test')
  t.after(() => it[Symbol.asyncDispose]())
  const project = await Project.make({ MOCA_NAMESPACE: 'test', REDIS_URL: redis.url, DATABASE_URL: scene.database.url })
  t.after(() => project.remove())
  const json = async (...args: string[]) => {
    const { code, stdout, stderr } = await project.run([...args, '--json'])
    assert.match(stdout, /^\{.*\}\n$/, stderr)
    return { code, result: JSON.parse(stdout), stderr }
  }
  const relay = (redriveMaxMs = 600_000) => {
    const made = new Relay({
      connect: () => PostgresConnection.open({ url: scene.database.url }, 'moca:relay'),
      open: (connection, logId) => {
        const subscribers = new Subscribers(connection, { schema: 'moca', logId, announcesDoctypes: false })
        return { sink: new QueueSink(it.receiver, subscribers), subscriptions: subscribers }
      },
      sinkName: 'queue',
      schema: 'moca',
      namespace: 'test',
      settings: { leaseMs: 2_000, pollIntervalMs: 5, redriveMaxMs },
      log: silentLogger,
    })
    t.after(() => made.stop())
    return made
  }
  /** Records jobs, each in a transaction and a batch of its own. */
  const bring = async (keys: readonly string[]) => {
    let expected = await accepted()
    for (const key of keys) {
      const text = JSON.stringify({ job: 'test.job', queue: 'default', payload: { key }, key })
      await scene.database.query('select moca.record($1)', [text])
      expected++
      await waitFor(async () => (await accepted()) === expected, { describe: 'the job', timeoutMs: 15_000 })
    }
  }
  const accepted = async () => {
    const { connection, prefix } = await it.link.ready(5_000)
    return Number((await connection.send<string | null>(['HGET', `${prefix}q:default:n`, 'accepted'])) ?? 0)
  }
  return { scene, redis, it, project, json, relay, bring, accepted }
}

test('verify accounts for what was recorded, names what Redis forgot, and is silent on it where there is no PostgreSQL', async (t) => {
  const { it, scene, project, json, relay, bring } = await open(t)
  const first = relay()
  first.start()
  await bring(['a', 'b', 'a', 'c', 'a'])
  await first.stop()
  const fine = await json('verify')
  assert.deepEqual([fine.code, fine.result.findings], [0, []])
  const read = fine.result.outbox.lanes.reduce((sum: number, { rows }: { rows: number }) => sum + rows, 0)
  assert.equal(read, 5)
  assert.match((await project.run(['verify'])).stdout, /queue +ok +\d+ +5 +0\n[^]*every recorded row is accounted for/)
  assert.equal((await json('verify', '--since', '0s')).result.outbox.lanes[0].batches, 0)
  assert.equal((await json('verify', '--queue', 'default')).result.outbox, undefined)

  // A position that was there before the last two batches of a lane: what a Redis that forgot says.
  const positions = await it.receiver.positions()
  const [unit, position] = [...positions].find(([, { n }]) => n === 3) ?? []
  assert.ok(unit !== undefined && position)
  await it.receiver.setPositions(new Map([[unit, { ...position, n: 1 }]]))
  const lost = await json('verify')
  const [{ kind, lane, batch, batches, rows }] = lost.result.findings
  assert.deepEqual([lost.code, lost.result.findings.length], [1, 1])
  assert.deepEqual(
    { kind, lane, batch, batches, rows },
    { kind: 'sink_forgot', lane: Number(unit), batch: 2, batches: 2, rows: 2 },
  )
  await it.receiver.setPositions(new Map([[unit, position]]))

  await scene.database.query(
    'delete from moca.outbox where lane = $1 and seq = (select min(seq) from moca.outbox where lane = $1)',
    [Number(unit)],
  )
  const { code, stdout } = await project.run(['verify'])
  assert.equal(code, 1)
  assert.match(stdout, new RegExp(`log_row_missing  sink queue, lane ${unit}, batch 1\n  expected  1 rows`))
  const without = await project.run(['verify', '--json'], { DATABASE_URL: '' })
  assert.deepEqual(Object.keys(JSON.parse(without.stdout)), ['ok', 'queues', 'schedules', 'findings'])
})

test('verify goes on without an outbox where the database has none', async (t) => {
  const { scene, json } = await open(t)
  await scene.database.query('drop schema moca cascade')
  const { code, result, stderr } = await json('verify')
  assert.deepEqual([code, result.outbox], [0, undefined])
  assert.match(stderr, /No outbox is looked at: There is no schema moca/)
})

test('rebase asks, says lane by lane what it means, and relays go on by it', async (t) => {
  const { it, scene, project, json, relay, bring, accepted } = await open(t)
  relay().start()
  await bring(['a', 'b', 'a'])
  const before = await it.receiver.positions()
  const [unit, position] = [...before].find(([, { n }]) => n === 2) ?? []
  assert.ok(unit !== undefined && position)
  // As after PostgreSQL was put back: Redis has three batches more.
  await it.receiver.setPositions(new Map([[unit, { ...position, n: 5, digest: 'later' }]]))
  await waitFor(async () => (await scene.database.query('select from moca.standstill')).length === 1, {
    describe: 'a standstill',
  })
  const refused = await project.run(['outbox', 'rebase'])
  assert.deepEqual([refused.code, refused.stdout], [2, ''])
  const dry = await json('outbox', 'rebase', '--dry-run')
  const ofLane = ({ result }: typeof dry) => result.lanes.find((each: { lane: number }) => each.lane === Number(unit))
  const { n, sinkN, unknownBatches, continuesAfter } = ofLane(dry)
  assert.deepEqual(
    { n, sinkN, unknownBatches, continuesAfter },
    { n: 2, sinkN: 5, unknownBatches: 3, continuesAfter: 2 },
  )
  assert.equal((await it.receiver.positions()).get(unit)?.n, 5)

  const done = await json('outbox', 'rebase', '--force')
  assert.equal(done.code, 0)
  const positions = await it.receiver.positions()
  assert.deepEqual(new Set([...positions.values()].map(({ logId }) => logId)), new Set([done.result.logId]))
  await bring(['a', 'b', 'c', 'a'])
  assert.equal(await accepted(), 7)
  const healthy = async () => (await json('verify')).result.ok === true
  await waitFor(healthy, { describe: 'nothing to be wrong', timeoutMs: 20_000 })
  const [row] = await scene.database.query<{ wished_by: string }>('select wished_by from moca.rebase')
  assert.match(row?.wished_by ?? '', /.+@.+/)
})

test('redrive brings back into an emptied Redis what was recorded, and verify is content afterwards', async (t) => {
  const { it, scene, json, relay, bring, accepted } = await open(t)
  relay(0).start()
  await bring(['a', 'b', 'a', 'c'])
  const { connection } = await it.link.ready(5_000)
  await connection.send(['FLUSHALL'])
  const standing = () => scene.database.query(`select from moca.standstill where reason = 'forgot'`)
  await waitFor(async () => (await standing()).length > 0, { describe: 'lanes to stand still', timeoutMs: 15_000 })
  const done = await json('outbox', 'redrive', '--since', '1h', '--force')
  assert.deepEqual([done.code, done.result.fulfilled], [0, true])
  assert.equal(await accepted(), 4)
  await bring(['a'])
  const { result } = await json('verify')
  assert.deepEqual(
    result.findings.filter(({ sink }: { sink?: string }) => sink !== undefined),
    [],
  )
})
