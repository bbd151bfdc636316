import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { LedgerSink } from '../../test/support/ledger-sink.ts'
import { type OutboxScene, outboxScenes } from '../../test/support/outbox-scene.ts'
import { waitFor } from '../../test/support/wait-for.ts'
import { Database } from '../postgres/database.ts'
import { accountOutbox } from './outbox-account.ts'

const openScene = outboxScenes()

async function open(t: TestContext) {
  const scene = await openScene(t)
  const sink = new LedgerSink()
  const database = new Database({ url: scene.database.url, name: 'moca:test' })
  t.after(() => database.close())
  const account = (since?: Date) =>
    accountOutbox({ database, schema: 'moca', sinks: [sink], retentionMs: 7 * 86_400_000, since })
  const kinds = async () => (await account()).findings.map(({ kind }) => kind)
  return { scene, sink, account, kinds }
}

/** Batches of several lanes, one of them with a parked key that was freed, all known to have been taken; the relay has stopped. */
async function fill(scene: OutboxScene, sink: LedgerSink): Promise<number> {
  let isBroken = true
  sink.isBroken = (row) => isBroken && row.payload.includes('"poison"')
  const relay = scene.relay(sink)
  relay.start()
  for (let round = 1; round <= 4; round++) {
    await scene.record(['a', 'b', 'c', 'd', 'e'].map((key) => ({ key })))
    await waitFor(() => sink.ids.length === round * 5, { describe: 'the events' })
  }
  await scene.record([{ key: 'p', data: 'poison' }, { key: 'p' }, { key: 'a' }])
  await waitFor(() => sink.ids.length === 21, { describe: 'the healthy one' })
  await waitFor(async () => (await scene.database.query('select from moca.parked')).length === 2, {
    describe: 'a parked key',
  })
  isBroken = false
  await scene.database.query(`update moca.parked_key set wish = 'retry'`)
  await waitFor(() => sink.ids.length === 23, { describe: 'the parked ones' })
  await relay.stop()
  return sink.rows.find(({ key }) => key === 'a')?.lane ?? -1
}

test('finds nothing where everything is in its place, and says what it looked at', async (t) => {
  const { scene, sink, account } = await open(t)
  const lane = await fill(scene, sink)
  const { lanes, findings, parkedKeys } = await account()
  assert.deepEqual(findings, [])
  assert.equal(parkedKeys, 0)
  assert.equal(
    lanes.reduce((sum, { rows }) => sum + rows, 0),
    23,
  )
  const { n, sinkN, batches } = lanes[lane] ?? {}
  assert.deepEqual([n, sinkN, batches], [n, n, n])
  const later = await account(new Date(Date.now() + 60_000))
  assert.equal(
    later.lanes.reduce((sum, { batches: read }) => sum + read, 0),
    0,
  )
})

test('finds nothing while relays work', async (t) => {
  const { scene, sink, account } = await open(t)
  scene.relay(sink).start()
  scene.relay(sink).start()
  const work = { isGoingOn: true }
  const writing = (async () => {
    // As fast as it arrives: batches are many and small otherwise.
    for (let rounds = 1; work.isGoingOn; rounds++) {
      await scene.record(Array.from({ length: 20 }, (_, key) => ({ key: `k${key}` })))
      await waitFor(() => sink.ids.length === rounds * 20, { describe: 'the events', timeoutMs: 20_000 })
    }
  })()
  try {
    await waitFor(() => sink.ids.length > 100, { describe: 'work' })
    for (let round = 0; round < 4; round++) assert.deepEqual((await account()).findings, [])
  } finally {
    work.isGoingOn = false
    await writing
  }
})

test('a deleted row of the log is found: in which batch, of how many', async (t) => {
  const { scene, sink, account } = await open(t)
  const lane = await fill(scene, sink)
  const victim = sink.rows.find((row) => row.lane === lane)
  await scene.database.query('delete from moca.outbox where lane = $1 and seq = $2', [lane, victim?.seq])
  const { findings } = await account()
  const [{ kind, batch, found } = {}] = findings
  assert.deepEqual([findings.length, kind, batch], [1, 'log_row_missing', 1])
  assert.match(found ?? '', /^\d+ rows: 1 deleted$/)
})

test('rows that were dropped with their partition are no loss', async (t) => {
  const { scene, sink, account } = await open(t)
  await fill(scene, sink)
  await scene.database.query('delete from moca.outbox')
  await scene.database.query('delete from moca.outbox_partition where number = 0')
  const { findings, lanes } = await account()
  assert.deepEqual(findings, [])
  assert.ok(lanes.some(({ dropped, batches }) => dropped > 0 && dropped === batches))
})

test('what a sink forgot is found: from which batch on, how many batches and rows', async (t) => {
  const { scene, sink, account } = await open(t)
  const lane = await fill(scene, sink)
  const n = sink.batchesOf(lane).length
  const rows = sink.forget(lane, 2)
  const { findings } = await account()
  const [{ kind, batch, batches, rows: lost } = {}] = findings
  assert.deepEqual([findings.length, kind, batch, batches, lost], [1, 'sink_forgot', n - 1, 2, rows])
})

test('a batch that is on its way is no loss', async (t) => {
  const { scene, sink, account } = await open(t)
  sink.intercept = () => ({ status: 'unavailable', reason: 'The test says so' })
  scene.relay(sink).start()
  await scene.record([{ key: 'a' }])
  await waitFor(async () => (await scene.database.query('select from moca.outbox_batch')).length === 1, {
    describe: 'an intent',
  })
  assert.deepEqual((await account()).findings, [])
})

test('a sink that has more than PostgreSQL knows, or batches of another log, is found', async (t) => {
  const { scene, sink, account, kinds } = await open(t)
  const lane = await fill(scene, sink)
  const position = (await sink.positions()).get(lane)
  assert.ok(position)
  const { logId, n, epoch, digest } = position
  await sink.setPosition({ lane, logId, n: n + 2, epoch, digest })
  const [ahead] = (await account()).findings
  assert.deepEqual([ahead?.kind, ahead?.lane, ahead?.found], ['sink_ahead', lane, `batch ${n + 2}: 2 more`])
  await sink.setPosition({ lane, logId, n, epoch, digest: 'f00f' })
  assert.deepEqual(await kinds(), ['sink_ahead'])
  await sink.setPosition({ lane, logId: 'another', n, epoch, digest })
  assert.deepEqual(await kinds(), ['sink_foreign'])
})

test('a missing batch is found, unless it may have been pruned', async (t) => {
  const { scene, sink, account } = await open(t)
  const lane = await fill(scene, sink)
  await scene.database.query('delete from moca.outbox_batch where lane = $1 and n = 2', [lane])
  const { findings } = await account()
  assert.deepEqual(
    findings.map(({ kind, batch }) => [kind, batch]),
    [['batch_missing', 2]],
  )
  await scene.database.query(`update moca.outbox_batch set at = at - interval '8 days' where n = 1`)
  assert.deepEqual((await account()).findings, [])
})

test('rows that wait where nobody relays are found; parked keys are counted', async (t) => {
  const { scene, sink, account, kinds } = await open(t)
  await scene.record([{ key: 'a' }])
  assert.deepEqual(await kinds(), ['log_not_relayed'])
  sink.isBroken = ({ key }) => key === 'p'
  const relay = scene.relay(sink)
  relay.start()
  await scene.record([{ key: 'p' }, { key: 'p' }])
  await waitFor(async () => (await scene.database.query('select from moca.parked')).length === 2, {
    describe: 'a parked key',
  })
  await waitFor(() => sink.ids.length === 1, { describe: 'the healthy one' })
  await relay.stop()
  const quiet = await account()
  assert.deepEqual([quiet.findings, quiet.parkedKeys, quiet.parkedRows], [[], 1, 2])
  await scene.record([{ key: 'a' }])
  const { findings } = await account()
  assert.deepEqual(
    findings.map(({ kind, lane, found }) => [kind, lane, found]),
    [['lane_without_owner', sink.rows[0]?.lane, 'none, and 1 rows wait']],
  )
})
