import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { promisify } from 'node:util'
import { silentLogger } from '../../src/logger.ts'
import { Rebase } from '../../src/outbox/rebase.ts'
import { Retention } from '../../src/outbox/retention.ts'
import type { SinkPositions } from '../../src/outbox/sinks/sink-positions.ts'
import { Database } from '../../src/postgres/database.ts'
import { LedgerSink } from '../support/ledger-sink.ts'
import { OutboxScene, outboxScenes } from '../support/outbox-scene.ts'
import { findPostgres } from '../support/postgres-binaries.ts'
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts'
import { waitFor } from '../support/wait-for.ts'

// docs/decisions/0039-rebase.md. pg_dump comes with the distribution's PostgreSQL alone, so these servers are of that kind.

const openScene = outboxScenes({ kind: 'distribution' })

function rebaseOf(t: TestContext, scene: OutboxScene, sink: SinkPositions): Rebase {
  const database = new Database({ url: scene.database.url, name: 'moca:test' })
  t.after(() => database.close())
  return new Rebase(database, 'moca', [sink])
}

/** Records and waits until it has arrived, and until it is written down that it has. */
async function bring(scene: OutboxScene, sink: LedgerSink, keys: readonly string[]): Promise<string[]> {
  const ids = await scene.record(keys.map((key) => ({ key })))
  await arrive(sink, ids)
  await settle(scene)
  return ids
}

const arrive = (sink: LedgerSink, ids: readonly string[]) =>
  waitFor(() => ids.every((id) => sink.ids.includes(id)), { describe: 'the events', timeoutMs: 15_000 })

const settle = (scene: OutboxScene) =>
  waitFor(
    async () => {
      const open = await scene.database.query(
        `select from moca.outbox_batch b
         where n = (select max(n) from moca.outbox_batch where sink = b.sink and lane = b.lane)
           and not exists (select from moca.outbox_ack a where a.sink = b.sink and a.lane = b.lane and a.n = b.n)`,
      )
      return open.length === 0
    },
    { describe: 'acknowledgements' },
  )

const stands = (scene: OutboxScene, reason: string) =>
  waitFor(
    async () => (await scene.database.query('select from moca.standstill where reason = $1', [reason])).length > 0,
    {
      describe: `a lane that is ${reason}`,
    },
  )

test('goes on after PostgreSQL was put back, and loses nothing that it still has', async (t) => {
  const scene = await openScene(t)
  const sink = new LedgerSink()
  const first = scene.relay(sink)
  first.start()
  await bring(scene, sink, ['a', 'b'])
  const old = await bring(scene, sink, ['a'])
  const lane = sink.rows.find(({ id }) => id === old[0])?.lane
  await first.stop()
  const unsent = await scene.record([{ key: 'a' }])
  const backup = await scene.server.backup()
  const second = scene.relay(sink)
  second.start()
  await arrive(sink, unsent)
  const gone = await bring(scene, sink, ['a'])
  await bring(scene, sink, ['a'])
  await second.stop()
  await scene.server.restore(backup)

  const relay = scene.relay(sink)
  relay.start()
  const since = await scene.record([{ key: 'a' }, { key: 'b' }])
  await stands(scene, 'behind')
  const rebase = rebaseOf(t, scene, sink)
  const planned = (await rebase.plan()).find((each) => each.lane === lane)
  // Whether a third batch is intended before the relay knows that the lane is behind is a matter of luck.
  const { n = 0, sinkN, isForeign, unknownBatches, continuesAfter, missing, waiting = 0 } = planned ?? {}
  assert.deepEqual([sinkN, isForeign, continuesAfter], [5, false, 2])
  assert.deepEqual([unknownBatches, missing?.batches, (missing?.rows ?? 0) + waiting], [5 - n, n - 2, 2])
  assert.deepEqual((await sink.positions()).get(lane ?? -1)?.n, 5, 'a plan changes nothing')
  const { lanes, logId } = await rebase.run('test')
  assert.deepEqual(
    lanes.find((each) => each.lane === lane),
    planned,
  )
  await arrive(sink, since)
  assert.equal((await sink.positions()).get(lane ?? -1)?.logId, logId)
  assert.deepEqual(await scene.database.query('select from moca.standstill'), [])
  assert.ok(
    gone.every((id) => sink.ids.includes(id)),
    'what the sink has done stays done',
  )
  const times = (id: string | undefined) => sink.ids.filter((each) => each === id).length
  assert.equal(times(old[0]), 1)
  // It was on its way when the backup was made, and nobody knows what became of it.
  assert.equal(times(unsent[0]), 2)

  // Once more, though there is no need: nothing comes twice, and the same relay goes on.
  await settle(scene)
  const before = sink.ids
  await rebase.run('test')
  await bring(scene, sink, ['a', 'c'])
  assert.equal(sink.ids.length, before.length + 2)
})

async function copy(from: OutboxScene, server: PostgresServer, t: TestContext): Promise<OutboxScene> {
  const database = await server.createDatabase(t)
  const { bin } = await findPostgres('distribution')
  const [dump, psql] = [join(bin, 'pg_dump'), join(bin, 'psql')]
  const script = `set -e; "$1" "$2" | "$3" -q -v ON_ERROR_STOP=1 "$4" > /dev/null`
  await promisify(execFile)('bash', [
    '-o',
    'pipefail',
    '-c',
    script,
    'copy',
    dump,
    from.database.url,
    psql,
    database.url,
  ])
  return OutboxScene.of(t, database)
}

test('stops a lane also when the older PostgreSQL has forgotten who owned it', async (t) => {
  const scene = await openScene(t)
  const sink = new LedgerSink()
  const bringBy = async (keys: readonly string[]) => {
    const relay = scene.relay(sink)
    relay.start()
    await bring(scene, sink, keys)
    await relay.stop()
  }
  await bringBy(['a'])
  const backup = await scene.server.backup()
  // Each has an epoch of its own, and the last one's is higher than that of the next relay after the backup.
  await bringBy(['a'])
  await bringBy(['a'])
  await bringBy(['a'])
  await scene.server.restore(backup)
  const relay = scene.relay(sink)
  relay.start()
  await stands(scene, 'behind')
  const [standing, ...others] = await scene.database.query('select found::int, expected::int from moca.standstill')
  assert.deepEqual([standing, others], [{ found: 4, expected: 1 }, []])
  await rebaseOf(t, scene, sink).run('test')
  await bring(scene, sink, ['a'])
  await relay.stop()
})

test('goes on in a copy on another server, whose transactions are counted anew: each row once, whenever it was recorded', async (t) => {
  const server = await startPostgres({ kind: 'distribution', isUnique: true })
  t.after(() => server.stop())
  const scene = await openScene(t)
  // So that numbers of transactions come again there.
  const connection = await scene.connect()
  await connection.query(`do $$ begin for n in 1..400 loop perform pg_current_xact_id(); commit; end loop; end $$`)
  const sink = new LedgerSink()
  const first = scene.relay(sink)
  first.start()
  const keys = Array.from({ length: 40 }, (_, n) => `k${n}`)
  const late = await scene.connect()
  await late.query('begin')
  const [lateOne] = await late.query<{ id: string }>('select moca.record($1) as id', [
    JSON.stringify({ topic: 't', event_type: 'late', key: 'k0' }),
  ])
  for (let round = 0; round < 10; round++) await bring(scene, sink, keys)
  await first.stop()
  await late.query('commit')
  const unsent = [lateOne?.id as string]
  for (let round = 0; round < 3; round++) unsent.push(...(await scene.record(keys.map((key) => ({ key })))))

  const there = await copy(scene, server, t)
  const relay = there.relay(sink)
  relay.start()
  // Applications do not wait for it.
  unsent.push(...(await there.record(keys.map((key) => ({ key })))))
  await assert.rejects(
    waitFor(() => sink.ids.some((id) => unsent.includes(id)), { timeoutMs: 1_000 }),
    /last value: false/,
  )
  const { lanes } = await rebaseOf(t, there, sink).run('test')
  assert.ok(
    lanes.every(({ missing, isForeign, unknownBatches }) => missing.rows === 0 && !isForeign && unknownBatches === 0),
  )
  assert.equal(
    lanes.reduce((sum, { waiting }) => sum + waiting, 0),
    unsent.length,
  )
  await arrive(sink, unsent)
  // Transactions under way at the beginnings of windows, with numbers that rows of the other server's have.
  const open = await Promise.all(Array.from({ length: 12 }, () => there.connect()))
  for (let round = 0; round < 30; round++) {
    const writer = open[round % open.length]
    if (round >= open.length) await writer?.query('commit')
    await writer?.query('begin')
    await writer?.query('select pg_current_xact_id()')
    await there.record([{ key: `k${round}` }])
  }
  for (const writer of open) await writer.query('commit')
  await bring(there, sink, keys)
  const total = 10 * 40 + 1 + 3 * 40 + 40 + 30 + 40
  await waitFor(() => sink.ids.length >= total, { describe: 'all events' })
  assert.equal(new Set(sink.ids).size, sink.ids.length)
  assert.equal(sink.ids.length, total)
  for (const key of keys) {
    const seqs = sink.rows.filter((row) => row.key === key && row.type !== 'late').map(({ seq }) => seq)
    assert.deepEqual(
      seqs,
      seqs.toSorted((a, b) => a - b),
    )
  }
  // Rows of the other server do not keep their partition.
  const database = new Database({ url: there.database.url, name: 'moca:test' })
  t.after(() => database.close())
  const retention = new Retention({
    database,
    schema: 'moca',
    ageMs: 0,
    bytes: undefined,
    log: silentLogger,
    partitionMs: 0,
  })
  await waitFor(async () => (await retention.runOnce()).dropped.includes(0), {
    describe: 'the first partition to go',
    timeoutMs: 15_000,
  })
})

for (const moment of ['before', 'after'] as const) {
  test(`killed ${moment} the sink was told, it is completed by another one, and nothing is lost or comes twice`, async (t) => {
    const scene = await openScene(t)
    const sink = new LedgerSink()
    scene.relay(sink).start()
    await bring(scene, sink, ['a', 'b', 'c'])
    const dying: SinkPositions = {
      name: sink.name,
      positions: () => sink.positions(),
      setPositions: async (positions) => {
        if (moment === 'after') await sink.setPositions(positions)
        throw new Error('killed')
      },
    }
    await assert.rejects(rebaseOf(t, scene, dying).run('test'), /killed/)
    const meanwhile = await scene.record([{ key: 'a' }, { key: 'b' }])
    const owners = () => scene.database.query<{ relay: string }>('select distinct relay from moca.lease')
    assert.deepEqual(await owners(), [{ relay: 'rebase' }])
    await rebaseOf(t, scene, sink).run('test')
    await arrive(sink, meanwhile)
    await bring(scene, sink, ['a', 'b', 'c'])
    assert.equal(sink.ids.length, 8)
    assert.equal(new Set(sink.ids).size, 8)
  })
}

test('lets a database that was made anew take over the sink of another log', async (t) => {
  const first = await openScene(t)
  const sink = new LedgerSink()
  const relay = first.relay(sink)
  relay.start()
  const old = await bring(first, sink, ['a', 'b'])
  await relay.stop()
  const anew = await openScene(t)
  anew.relay(sink).start()
  const ids = await anew.record([{ key: 'a' }])
  await stands(anew, 'foreign')
  const { lanes } = await rebaseOf(t, anew, sink).run('test')
  assert.equal(lanes.filter(({ isForeign }) => isForeign).length, new Set(sink.rows.map(({ lane }) => lane)).size)
  await arrive(sink, ids)
  assert.deepEqual(sink.ids.toSorted(), [...old, ...ids].toSorted())
})

test('what the sink forgot before is still missing after it, and is sent again', async (t) => {
  const scene = await openScene(t)
  const sink = new LedgerSink()
  const relay = scene.relay(sink)
  relay.start()
  const ids = [...(await bring(scene, sink, ['a'])), ...(await bring(scene, sink, ['a']))]
  await relay.stop()
  sink.forget(sink.rows[0]?.lane ?? -1)
  const { lanes } = await rebaseOf(t, scene, sink).run('test')
  assert.deepEqual(lanes.find(({ n }) => n > 0)?.missing, { batches: 2, rows: 2 })
  scene.relay(sink).start()
  await arrive(sink, ids)
  assert.deepEqual(sink.ids, ids)
})
