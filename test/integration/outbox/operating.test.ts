import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LedgerSink } from '../../support/ledger-sink.ts'
import { type OutboxScene, outboxScenes } from '../../support/outbox-scene.ts'
import { waitFor } from '../../support/wait-for.ts'

// What a relay tells operators, and how it fulfils what they wish.

const openScene = outboxScenes()

/** Brings so many batches of one lane to the sink; returns the ids and the lane. */
async function bring(scene: OutboxScene, sink: LedgerSink, batches: number) {
  const ids: string[] = []
  const before = sink.ids.length
  for (let round = 0; round < batches; round++) {
    ids.push(...(await scene.record([{ key: 'a' }])))
    await waitFor(() => sink.ids.length === before + ids.length, { describe: 'the event' })
  }
  return { ids, lane: sink.rows[0]?.lane ?? -1 }
}

const standstills = (scene: OutboxScene) =>
  scene.database.query<{ sink: string; lane: number; reason: string; found: string; expected: string }>(
    'select sink, lane, reason, found, expected from moca.standstill',
  )

const openWishes = (scene: OutboxScene) => scene.database.query('select from moca.redrive where done_at is null')

test('a lane that stands still says why, and takes it back when it goes on', async (t) => {
  const scene = await openScene(t)
  const sink = new LedgerSink()
  scene.relay(sink, { redriveMaxMs: 0 }).start()
  const { lane } = await bring(scene, sink, 3)
  sink.forget(lane)
  await waitFor(async () => (await standstills(scene)).length > 0, { describe: 'a standstill' })
  assert.deepEqual(await standstills(scene), [{ sink: 'ledger', lane, reason: 'forgot', found: '0', expected: '3' }])
  await scene.database.query('insert into moca.redrive (sink, lane, from_n) values ($1, $2, 1)', ['ledger', lane])
  await waitFor(async () => (await standstills(scene)).length === 0, { describe: 'the lane to go on' })
})

test('another owner looks for itself whether a lane may go on', async (t) => {
  const scene = await openScene(t)
  const sink = new LedgerSink()
  const first = scene.relay(sink, { redriveMaxMs: 0 })
  first.start()
  const { lane } = await bring(scene, sink, 2)
  sink.forget(lane)
  await waitFor(async () => (await standstills(scene)).length > 0, { describe: 'a standstill' })
  await first.stop()
  assert.equal((await standstills(scene)).length, 1)
  scene.relay(sink).start() // it may send again what is not older than ten minutes
  await waitFor(async () => (await standstills(scene)).length === 0, { describe: 'the lane to go on' })
  await waitFor(() => sink.ids.length === 2, { describe: 'the events again' })
})

test('a wish to send again ends without sending where nothing is missing', async (t) => {
  const scene = await openScene(t)
  const sink = new LedgerSink()
  scene.relay(sink).start()
  const { ids, lane } = await bring(scene, sink, 3)
  await scene.database.query('insert into moca.redrive (sink, lane, from_n) values ($1, $2, 1)', ['ledger', lane])
  await waitFor(async () => (await openWishes(scene)).length === 0, { describe: 'the wish to end' })
  assert.deepEqual(sink.ids, ids)
  assert.deepEqual(await scene.database.query('select from moca.resent'), [])
})

test('a wish ends when only the last batch was missing, and when more was wished than is missing', async (t) => {
  const scene = await openScene(t)
  const sink = new LedgerSink()
  scene.relay(sink, { redriveMaxMs: 0 }).start()
  const { ids, lane } = await bring(scene, sink, 5)
  for (const lost of [1, 3]) {
    sink.forget(lane, lost)
    await scene.database.query('insert into moca.redrive (sink, lane, from_n) values ($1, $2, 1)', ['ledger', lane])
    await waitFor(async () => (await openWishes(scene)).length === 0, { describe: 'the wish to end' })
    assert.deepEqual(sink.ids, ids)
  }
})

test('nothing is sent again that is older than what is wished, be it all that a lane ever had', async (t) => {
  const scene = await openScene(t)
  const sink = new LedgerSink()
  scene.relay(sink, { redriveMaxMs: 0 }).start()
  const { lane } = await bring(scene, sink, 3)
  sink.forget(lane)
  await waitFor(async () => (await standstills(scene)).length > 0, { describe: 'a standstill' })
  await scene.database.query('insert into moca.redrive (sink, lane, from_n) values ($1, $2, 4)', ['ledger', lane])
  await waitFor(async () => (await openWishes(scene)).length === 0, { describe: 'the wish to end' })
  assert.deepEqual(sink.ids, [])
  assert.deepEqual(await standstills(scene), [])
  const [next] = await scene.record([{ key: 'a' }])
  await waitFor(() => sink.ids.length === 1, { describe: 'the lane to go on' })
  assert.deepEqual(sink.ids, [next])
})
