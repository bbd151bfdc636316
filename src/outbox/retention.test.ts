import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { LedgerSink } from '../../test/support/ledger-sink.ts'
import { type OutboxScene, outboxScenes } from '../../test/support/outbox-scene.ts'
import { waitFor } from '../../test/support/wait-for.ts'
import { silentLogger } from '../logger.ts'
import { Database } from '../postgres/database.ts'
import { Retention } from './retention.ts'

const WEEK_MS = 7 * 86_400_000

const openScene = outboxScenes()

/**
 * Retention with partitions of no age; each run of `moving` lets the log go on, none of `dropping` does. Both drop whatever may go.
 * `keeping` drops nothing for its age: it lets the log go on, or keeps it below so many bytes.
 */
function retentions(t: TestContext, scene: OutboxScene) {
  const database = new Database({ url: scene.database.url, maxConnections: 2, name: 'moca:test' })
  t.after(() => database.close())
  const settings = { database, schema: 'moca', ageMs: 0, bytes: undefined, log: silentLogger, lockTimeoutMs: 150 }
  return {
    moving: new Retention({ ...settings, partitionMs: 0 }),
    dropping: new Retention(settings),
    keeping: (other: { partitionMs: number } | { bytes: number }) =>
      new Retention({ ...settings, ageMs: WEEK_MS, ...other }),
  }
}

async function partitions(scene: OutboxScene): Promise<number[]> {
  const rows = await scene.database.query<{ number: number }>(
    'select number from moca.outbox_partition order by number',
  )
  return rows.map(({ number }) => number)
}

/** A log that has gone on into its second partition, with nothing in the first one that is not relayed. */
async function openMovedScene(t: TestContext) {
  const scene = await openScene(t)
  const sink = new LedgerSink()
  scene.relay(sink).start()
  await scene.record([{ key: 'a' }])
  const { moving, dropping } = retentions(t, scene)
  await waitFor(async () => (await moving.runOnce()).moved, { describe: 'the log to move on' })
  const [last] = await scene.record([{ key: 'a' }])
  await waitFor(() => sink.ids.includes(last as string), { describe: 'an event of the second partition' })
  return { scene, moving, dropping }
}

test('a transaction that reads the log keeps a partition, holds up no run for long, and nobody behind it', async (t) => {
  const { scene, dropping } = await openMovedScene(t)
  const reader = await scene.connect()
  await reader.query('begin isolation level repeatable read')
  await reader.query('select count(*) from moca.outbox')
  const run = dropping.runOnce()
  const stranger = await scene.connect()
  await stranger.query(`set lock_timeout = '2s'`)
  await stranger.query('select moca.record($1)', [JSON.stringify({ topic: 't', event_type: 'x', key: 'a' })])
  const first = await run
  assert.deepEqual(first.dropped, [])
  await waitFor(
    async () => (await dropping.runOnce()).kept.some(({ reason }) => reason === 'a transaction is in the way'),
    {
      describe: 'the partition to be kept for the transaction',
    },
  )
  assert.ok((await partitions(scene)).includes(0))
  await reader.query('commit')
  await waitFor(async () => (await dropping.runOnce()).dropped.includes(0), { describe: 'the partition to be dropped' })
  assert.ok(!(await partitions(scene)).includes(0))
})

test('a lock on the log keeps partitions from being made and dropped, but no run from its end', async (t) => {
  const { scene, moving } = await openMovedScene(t)
  const holder = await scene.connect()
  await holder.query('begin')
  // As a vacuum or an index being built takes it: writers go on.
  await holder.query('lock table moca.outbox in share update exclusive mode')
  const before = await partitions(scene)
  await moving.runOnce()
  assert.deepEqual(await partitions(scene), before)
  await scene.record([{ key: 'a' }])
  await holder.query('commit')
  await waitFor(
    async () => {
      await moving.runOnce()
      return (await partitions(scene)).some((number) => !before.includes(number))
    },
    { describe: 'the next partition' },
  )
})

test("an error that is no lock's is told", async (t) => {
  const scene = await openScene(t)
  await scene.database.query('drop function moca.move_on')
  await assert.rejects(retentions(t, scene).dropping.runOnce(), /move_on/)
})

test('above its limit in bytes the oldest partitions go, no more than needed, and none with a row that is not relayed', async (t) => {
  const scene = await openScene(t)
  const sink = new LedgerSink()
  let isAway = false
  sink.intercept = () => (isAway ? { status: 'unavailable', reason: 'The test says so' } : undefined)
  scene.relay(sink).start()
  const { keeping } = retentions(t, scene)
  const fill = async () => {
    const ids = await scene.record(Array.from({ length: 50 }, () => ({ key: 'a', data: 'x'.repeat(1_000) })))
    if (!isAway)
      await waitFor(() => ids.every((id) => sink.ids.includes(id)), { describe: 'a partition to be relayed' })
    const moving = keeping({ partitionMs: 0 })
    await waitFor(async () => (await moving.runOnce()).moved, { describe: 'the log to move on' })
    // Somebody looks again before a closed partition may be dropped.
    await keeping({ bytes: Number.MAX_SAFE_INTEGER }).runOnce()
  }
  for (let filled = 0; filled < 3; filled++) await fill()
  isAway = true
  await fill()
  const [row] = await scene.database.query<{ bytes: string }>(
    `select pg_total_relation_size('moca.outbox_1') + pg_total_relation_size('moca.outbox_2') + pg_total_relation_size('moca.outbox_3') as bytes`,
  )
  const bytes = Number(row?.bytes)
  assert.deepEqual((await keeping({ bytes }).runOnce()).dropped, [0])
  assert.deepEqual((await keeping({ bytes }).runOnce()).dropped, [])
  const { dropped, kept } = await keeping({ bytes: 1 }).runOnce()
  assert.deepEqual(dropped, [1, 2])
  assert.deepEqual(
    kept.map(({ number, reason }) => [number, reason.replace(/ \(.*/, '')]),
    [[3, 'unrelayed']],
  )
  isAway = false
  await waitFor(() => sink.ids.length === 200, { describe: 'the rest' })
  await waitFor(async () => (await keeping({ bytes: 1 }).runOnce()).dropped.includes(3), {
    describe: 'the last one to be dropped',
  })
})

test('after a month without a relay everything is there, and comes in order once somebody relays', async (t) => {
  const scene = await openScene(t)
  const ids = await scene.record([{ key: 'a' }, { key: 'a' }])
  // As if a month had gone by.
  await scene.database.query(`update moca.outbox set at = at - interval '31 days'`)
  await scene.database.query(`update moca.outbox_partition set created_at = created_at - interval '31 days'`)
  ids.push(...(await scene.record([{ key: 'a' }])))
  const { dropping } = retentions(t, scene)
  await waitFor(async () => (await dropping.runOnce()).moved, { describe: 'the log to move on' })
  ids.push(...(await scene.record([{ key: 'a' }])))
  await waitFor(async () => (await dropping.runOnce()).kept.some(({ reason }) => reason === 'unknown'), {
    describe: 'the partition to be due, and kept as nobody has ever relayed',
  })
  const sink = new LedgerSink()
  scene.relay(sink).start()
  await waitFor(() => sink.ids.length === 4, { describe: 'all of them' })
  assert.deepEqual(sink.ids, ids)
  await waitFor(async () => (await dropping.runOnce()).dropped.includes(0), { describe: 'the old partition to go' })
})
