import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { LedgerSink } from '../../test/support/ledger-sink.ts'
import { type OutboxScene, outboxScenes } from '../../test/support/outbox-scene.ts'
import { waitFor } from '../../test/support/wait-for.ts'
import { silentLogger } from '../logger.ts'
import { Database } from '../postgres/database.ts'
import { Retention } from './retention.ts'

const openScene = outboxScenes()

/** Retention with partitions of no age; each run of `moving` lets the log go on, none of `dropping` does. Both drop whatever may go. */
function retentions(t: TestContext, scene: OutboxScene) {
  const database = new Database({ url: scene.database.url, maxConnections: 2, name: 'moca:test' })
  t.after(() => database.close())
  const settings = { database, schema: 'moca', ageMs: 0, bytes: undefined, log: silentLogger, lockTimeoutMs: 150 }
  return { moving: new Retention({ ...settings, partitionMs: 0 }), dropping: new Retention(settings) }
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
