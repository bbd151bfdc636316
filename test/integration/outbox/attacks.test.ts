import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { Lane } from '../../../src/outbox/lane.ts'
import type { Relay } from '../../../src/outbox/relay.ts'
import { Retention } from '../../../src/outbox/retention.ts'
import { silentLogger } from '../../../src/logger.ts'
import { loadStatements } from '../../../src/outbox/statements.ts'
import { Database } from '../../../src/postgres/database.ts'
import { LedgerSink } from '../../support/ledger-sink.ts'
import { type OutboxScene, outboxScenes } from '../../support/outbox-scene.ts'
import { waitFor } from '../../support/wait-for.ts'

// Interleavings that broke earlier drafts, at the level of the relay. What they mean for Redis is tested with the scripts.

const openScene = outboxScenes()

async function standstills(relay: Relay<never> | Relay<readonly never[]>, count: number): Promise<readonly Lane[]> {
  const standing = () => relay.health().lanes.filter(({ standstill }) => standstill !== undefined)
  await waitFor(() => standing().length >= count, { describe: `${count} lanes at a standstill` })
  return standing()
}

test('attack 12: a database that was dropped and made anew does not swallow its events, but stops', async (t) => {
  const sink = new LedgerSink()
  const first = await openScene(t)
  const relay = first.relay(sink)
  relay.start()
  for (let round = 0; round < 3; round++) await first.record([{ key: 'a' }])
  await waitFor(() => sink.ids.length === 3, { describe: 'the first events' })
  await relay.stop()
  const anew = await openScene(t)
  await anew.record([{ key: 'a' }])
  const other = anew.relay(sink)
  other.start()
  const [lane] = await standstills(other as never, 1)
  assert.equal(lane?.standstill?.reason, 'foreign')
  assert.equal(sink.ids.length, 3)
})

test('attack 17: what the sink forgot is sent again although nothing new comes', async (t) => {
  const scene = await openScene(t)
  const sink = new LedgerSink()
  scene.relay(sink).start()
  const ids: string[] = []
  for (let round = 0; round < 5; round++) {
    ids.push(...(await scene.record([{ key: 'a' }])))
    await waitFor(() => sink.ids.length === ids.length, { describe: 'the event' })
  }
  const lane = sink.rows[0]?.lane ?? -1
  assert.equal(sink.forget(lane, 3), 3)
  await waitFor(() => sink.ids.length === 5, { describe: 'all of them again' })
  assert.deepEqual(sink.ids, ids)
  // The last batch is sent by itself, to find out what is missing: what was noted is what came before it.
  const resent = () => scene.database.query<{ rows: string }>('select rows from moca.resent')
  await waitFor(async () => (await resent()).length > 0, { describe: 'a note' })
  assert.deepEqual(await resent(), [{ rows: '2' }])
})

test('attack 17: what was forgotten longer ago than redriveMax is left to an operator, whose wish is fulfilled', async (t) => {
  const scene = await openScene(t)
  const sink = new LedgerSink()
  const relay = scene.relay(sink, { redriveMaxMs: 0 })
  relay.start()
  const ids: string[] = []
  for (let round = 0; round < 4; round++) {
    ids.push(...(await scene.record([{ key: 'a' }])))
    await waitFor(() => sink.ids.length === ids.length, { describe: 'the event' })
  }
  const lane = sink.rows[0]?.lane ?? -1
  sink.forget(lane)
  const [standing] = await standstills(relay as never, 1)
  assert.deepEqual(standing?.standstill, { reason: 'forgot', found: 0, expected: 4 })
  await scene.database.query(`insert into moca.redrive (sink, lane, from_n) values ('ledger', ${lane}, 3)`)
  await waitFor(() => sink.ids.length === 2, { describe: 'those that were wished' })
  assert.deepEqual(sink.ids, ids.slice(2))
  await scene.record([{ key: 'a' }])
  await waitFor(() => sink.ids.length === 3, { describe: 'the lane to go on' })
  assert.equal(standing?.standstill, undefined)
})

test('attack 13: a parked key stays behind as a whole, and leaves in order, whoever relays it', async (t) => {
  const scene = await openScene(t)
  const sink = new LedgerSink()
  let isBroken = true
  sink.isBroken = (row) => isBroken && row.payload.includes('"poison"')
  const first = scene.relay(sink)
  first.start()
  const [a1] = await scene.record([{ key: 'a' }])
  const parked = await scene.record([
    { key: 'a', data: 'poison' },
    { key: 'a', data: 'behind it' },
  ])
  const others = await scene.record([{ key: 'b' }, { key: 'a', data: 'later' }, { key: 'c' }])
  const behind = [...parked, others[1]]
  await waitFor(() => sink.ids.length === 3, { describe: 'what is healthy' })
  const parkedRows = () => scene.database.query('select from moca.parked where left_in_n is null')
  await waitFor(async () => (await parkedRows()).length === 3, { describe: 'three parked rows' })
  // Another relay finds the same.
  await first.stop()
  const second = scene.relay(sink)
  second.start()
  const [b2] = await scene.record([{ key: 'b' }])
  await waitFor(() => sink.ids.includes(b2 as string), { describe: 'the other key to go on' })

  // Not mended: it stays, with the rest behind it.
  await scene.database.query(`update moca.parked_key set wish = 'retry'`)
  const wish = async () =>
    (await scene.database.query<{ wish: string | null }>('select wish from moca.parked_key'))[0]?.wish
  await waitFor(async () => (await wish()) === null, { describe: 'the wish to be refused' })
  assert.equal((await parkedRows()).length, 3)

  isBroken = false
  await scene.database.query(`update moca.parked_key set wish = 'retry'`)
  await waitFor(() => sink.ids.length === 7, { describe: 'the parked ones' })
  assert.deepEqual(
    sink.rows.filter(({ key }) => key === 'a').map(({ id }) => id),
    [a1, ...behind],
  )
  const [a9] = await scene.record([{ key: 'a' }])
  await waitFor(() => sink.ids.includes(a9 as string), { describe: 'the key to be free' })
})

for (const [wish, kept] of [
  ['skip', ['behind', 'last']],
  ['discard', []],
] as const) {
  test(`a wish to ${wish} leaves out ${wish === 'skip' ? 'the first row' : 'all rows'} of a parked key for good`, async (t) => {
    const scene = await openScene(t)
    const sink = new LedgerSink()
    sink.isBroken = (row) => row.payload.includes('"poison"')
    scene.relay(sink).start()
    await scene.record([
      { key: 'a', data: 'poison' },
      { key: 'a', data: 'behind' },
      { key: 'a', data: 'last' },
    ])
    const parked = () => scene.database.query('select from moca.parked where left_in_n is null')
    await waitFor(async () => (await parked()).length === 3, { describe: 'the key to be parked' })
    await scene.database.query('update moca.parked_key set wish = $1', [wish])
    await waitFor(async () => (await parked()).length === 0, { describe: 'the wish to be fulfilled' })
    await scene.record([{ key: 'a', data: 'next' }])
    await waitFor(() => sink.rows.some(({ payload }) => payload.includes('"next"')), { describe: 'the next event' })
    const data = sink.rows.map(({ payload }) => (JSON.parse(payload) as { data: string }).data)
    assert.deepEqual(data, [...kept, 'next'])
  })
}

test('attack 15: catching up costs as much at its end as at its beginning', async (t) => {
  const scene = await openScene(t)
  const connection = await scene.connect()
  const rows = 60_000
  // A transaction that stays open, as they do; and one key, so one lane.
  const open = await scene.connect()
  await open.query('begin')
  await open.query('select pg_current_xact_id()')
  const thousand = JSON.stringify(Array.from({ length: 1_000 }, () => ({ topic: 't', event_type: 'x', key: 'a' })))
  for (let recorded = 0; recorded < rows; recorded += 1_000)
    await connection.query('select moca.record($1)', [thousand])
  await connection.query('analyze moca.outbox')
  const sink = new LedgerSink()
  scene.relay(sink).start()
  await waitFor(() => sink.ids.length === rows, { describe: 'all rows', timeoutMs: 60_000 })
  await open.query('commit')

  // What the statement reads for the first batch of the window, and for the last.
  const [look] = await connection.query<{ snapshot: string; high: number }>(
    'select snapshot::text, high from moca.look()',
  )
  const lane = sink.rows[0]?.lane
  const blocks = async (above: number) => {
    const { 'read-begun': statement } = loadStatements(['read-begun'], 'moca')
    const values = [[lane], [above], [look?.high], ['1'], [look?.snapshot], 1_000, 8_000_000]
    type Plan = { 'Shared Hit Blocks': number; 'Shared Read Blocks': number; 'Actual Rows': number }
    const [explained] = await connection.query<{ 'QUERY PLAN': [{ Plan: Plan }] }>(
      `explain (analyze, buffers, format json) ${statement}`,
      values,
    )
    const plan = explained?.['QUERY PLAN'][0].Plan
    assert.equal(plan?.['Actual Rows'], 1_000)
    return plan['Shared Hit Blocks'] + plan['Shared Read Blocks']
  }
  await blocks(0) // what the first call reads to make its plan does not count
  const [first, last] = [await blocks(0), await blocks(sink.rows.at(-1_001)?.seq ?? 0)]
  t.diagnostic(`blocks: ${first} for the first batch, ${last} for the last`)
  assert.ok(last < first * 1.5 && first < last * 1.5, `${first} blocks for the first batch, ${last} for the last`)
})

/** Retention with partitions of no age, so that each run moves on, or one that never does; both drop whatever may go. */
async function retentions(t: TestContext, scene: OutboxScene) {
  const database = new Database({ url: scene.database.url, maxConnections: 2, name: 'moca:test' })
  t.after(() => database.close())
  const settings = { database, schema: 'moca', ageMs: 0, bytes: undefined, log: silentLogger }
  const exists = async (number: number) => {
    const [row] = await scene.database.query<{ exists: boolean }>(
      `select to_regclass('moca.outbox_${number}') is not null as exists`,
    )
    return row?.exists ?? false
  }
  return { moving: new Retention({ ...settings, partitionMs: 0 }), dropping: new Retention(settings), exists }
}

test('attack 16: making, attaching, closing and dropping partitions holds up no writer', async (t) => {
  const scene = await openScene(t)
  const sink = new LedgerSink()
  scene.relay(sink).start()
  await scene.record([{ key: 'a' }])
  const { moving, dropping, exists } = await retentions(t, scene)

  // A writer that stays open in the middle of a transaction, and strangers that must not wait behind it.
  const open = await scene.connect()
  const event = (key: string) => JSON.stringify({ topic: 't', event_type: 'x', key })
  await open.query('begin')
  await open.query('select moca.record($1)', [event('open')])
  const stranger = await scene.connect()
  await stranger.query(`set lock_timeout = '250ms'`)
  const work = { isGoingOn: true }
  const working = (async () => {
    for (let round = 0; round < 6; round++) await moving.runOnce()
    work.isGoingOn = false
  })()
  do await stranger.query('select moca.record($1)', [event('stranger')])
  while (work.isGoingOn)
  await working
  assert.ok(await exists(0), 'nothing is dropped that an open transaction may write to')
  await open.query('select moca.record($1)', [event('open')])
  await open.query('commit')

  // With it gone the log moves on, and what is relayed goes.
  for (let round = 0; round < 4; round++) await moving.runOnce()
  const [last] = await scene.record([{ key: 'a' }])
  await waitFor(() => sink.ids.includes(last as string), { describe: 'an event of a later partition' })
  assert.ok((sink.rows.find(({ id }) => id === last)?.seq ?? 0) >= 100_000_000_000)
  work.isGoingOn = true
  const gone = (async () => {
    for (let round = 0; round < 20 && (await exists(0)); round++) await dropping.runOnce()
    work.isGoingOn = false
  })()
  do await stranger.query('select moca.record($1)', [event('stranger')])
  while (work.isGoingOn)
  await gone
  assert.ok(!(await exists(0)))
  assert.equal(sink.rows.filter(({ key }) => key === 'open').length, 2)
})

test('a partition with a row that is not relayed, or that waits for an operator, is kept, and it is said why', async (t) => {
  const scene = await openScene(t)
  const sink = new LedgerSink()
  let isAway = true
  sink.intercept = () => (isAway ? { status: 'unavailable', reason: 'The test says so' } : undefined)
  sink.isBroken = (row) => row.payload.includes('"poison"')
  const { moving, dropping, exists } = await retentions(t, scene)
  await scene.record([{ key: 'a' }, { key: 'p', data: 'poison' }])
  for (let round = 0; round < 3; round++) await moving.runOnce()
  const reason = async () => (await dropping.runOnce()).kept.find(({ number }) => number === 0)?.reason ?? ''
  assert.equal(await reason(), 'unknown')
  scene.relay(sink).start()
  // Intended is not taken: what its sink has not got must be read again, whoever owns the lane then.
  const intended = () => scene.database.query('select from moca.outbox_batch')
  await waitFor(async () => (await intended()).length === 2, { describe: 'both lanes to intend a batch' })
  assert.match(await reason(), /^unrelayed \(sink ledger, lane \d+\)/)
  isAway = false
  await waitFor(() => sink.ids.length === 1, { describe: 'the healthy event' })
  await waitFor(async () => (await reason()).startsWith('parked'), { describe: 'a parked row' })
  await scene.database.query(`update moca.parked_key set wish = 'discard'`)
  await waitFor(async () => (await dropping.runOnce(), !(await exists(0))), { describe: 'it to be dropped' })
})

test('a transaction that commits late is found, and holds up nobody meanwhile', async (t) => {
  const scene = await openScene(t)
  const sink = new LedgerSink()
  scene.relay(sink).start()
  const late = await scene.connect()
  await late.query('begin')
  const [lost] = await late.query<{ id: string }>('select moca.record($1) as id', [
    JSON.stringify({ topic: 't', event_type: 'late', key: 'late' }),
  ])
  for (let round = 0; round < 30; round++) {
    const [id] = await scene.record([{ key: `k${round}` }])
    await waitFor(() => sink.ids.includes(id as string), { describe: 'an event that was committed' })
  }
  assert.ok(!sink.ids.includes(lost?.id as string))
  await late.query('commit')
  await waitFor(() => sink.ids.includes(lost?.id as string), { describe: 'the late one' })
})

test('what was rolled back is never seen', async (t) => {
  const scene = await openScene(t)
  const sink = new LedgerSink()
  scene.relay(sink).start()
  const connection = await scene.connect()
  await connection.query('begin')
  await connection.query('select moca.record($1)', [JSON.stringify({ topic: 't', event_type: 'x', key: 'a' })])
  await connection.query('rollback')
  const [id] = await scene.record([{ key: 'a' }])
  await waitFor(() => sink.ids.includes(id as string), { describe: 'the event after it' })
  assert.deepEqual(sink.ids, [id])
})

test('two relays that begin on a fresh log at once share its lanes, and one alone takes them all', async (t) => {
  const scene = await openScene(t)
  const sink = new LedgerSink()
  const [first, second] = [scene.relay(sink), scene.relay(sink)]
  first.start()
  second.start()
  const lanes = (relay: Relay<never>) => relay.health().lanes.length
  await waitFor(() => lanes(first as never) === 8 && lanes(second as never) === 8, {
    describe: 'half of the lanes each',
  })
  const ids = await scene.record(Array.from({ length: 64 }, (_, n) => ({ key: `k${n}` })))
  await waitFor(() => sink.ids.length === 64, { describe: 'all events' })
  assert.deepEqual(sink.ids.toSorted(), ids.toSorted())
  await first.stop()
  await waitFor(() => lanes(second as never) === 16, { describe: 'all lanes' })
})

test('a relay whose clock is an hour off relays as well', async (t) => {
  const scene = await openScene(t)
  const sink = new LedgerSink()
  const { systemClock } = await import('../../../src/clock.ts')
  scene.relay(sink, { clock: { ...systemClock, wallMs: () => Date.now() - 3_600_000 } }).start()
  scene.relay(sink, { clock: { ...systemClock, wallMs: () => Date.now() + 3_600_000 } }).start()
  const ids = await scene.record(Array.from({ length: 32 }, (_, n) => ({ key: `k${n}` })))
  await waitFor(() => sink.ids.length === 32, { describe: 'all events' })
  assert.deepEqual(sink.ids.toSorted(), ids.toSorted())
})
