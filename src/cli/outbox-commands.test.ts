import assert from 'node:assert/strict'
import { after, before, test, type TestContext } from 'node:test'
import { Project } from '../../test/support/command-line.ts'
import { LedgerSink } from '../../test/support/ledger-sink.ts'
import { type OutboxScene, outboxScenes } from '../../test/support/outbox-scene.ts'
import { waitFor } from '../../test/support/wait-for.ts'

// The commands as processes, against relays of this one.

const openScene = outboxScenes()
let project: Project
before(async () => {
  project = await Project.make({ MOCA_NAMESPACE: 'test' })
})
after(() => project.remove())

async function openOutbox(t: TestContext) {
  const scene = await openScene(t)
  const sink = new LedgerSink()
  const env = { DATABASE_URL: scene.database.url }
  const run = (...args: string[]) => project.run(['outbox', ...args], env)
  const json = async (...args: string[]) => {
    const { code, stdout, stderr } = await run(...args, '--json')
    assert.match(stdout, /^\{.*\}\n$/, stderr)
    return { code, result: JSON.parse(stdout), stderr }
  }
  return { scene, sink, run, json }
}

async function bring(scene: OutboxScene, sink: LedgerSink, batches: number): Promise<number> {
  for (let round = 1; round <= batches; round++) {
    const before = sink.ids.length
    await scene.record([{ key: 'a' }])
    await waitFor(() => sink.ids.length === before + 1, { describe: 'the event' })
  }
  return sink.rows[0]?.lane ?? -1
}

const stands = (scene: OutboxScene) =>
  waitFor(async () => (await scene.database.query('select from moca.standstill')).length > 0, {
    describe: 'a standstill',
  })

const countParked = async (scene: OutboxScene) =>
  (await scene.database.query('select from moca.parked where left_in_n is null')).length

test('status counts exactly what waits: what is new, what is under way, what commits late', async (t) => {
  const { scene, sink, json } = await openOutbox(t)
  const late = await scene.connect()
  await late.query('begin')
  await late.query('select moca.record($1)', [JSON.stringify({ topic: 't', event_type: 'late', key: 'a' })])
  const none = await json('status')
  assert.deepEqual([none.code, none.result.sinks, none.result.relays], [0, [], []])
  const relay = scene.relay(sink)
  relay.start()
  await bring(scene, sink, 3)
  const isTaken = async () => (await json('status')).result.sinks[0].waiting === 0
  await waitFor(isTaken, { describe: 'nothing to wait', timeoutMs: 15_000 })
  sink.intercept = () => ({ status: 'unavailable', reason: 'The test says so' })
  await late.query('commit')
  await scene.record([{ key: 'a' }, { key: 'a' }, { key: 'b' }])
  const waiting = async () => (await json('status')).result.sinks[0].waiting as number
  assert.equal(await waiting(), 4)
  // Under way by now: intended and not taken.
  const intended = () => scene.database.query('select from moca.outbox_batch where n = 4')
  await waitFor(async () => (await intended()).length === 1, { describe: 'the late one to be under way' })
  await scene.record([{ key: 'a' }])
  const { result } = await json('status')
  const [{ lanes, oldestWaitingMs, lanesWithoutOwner, ...sums }] = result.sinks
  assert.deepEqual(sums, { sink: 'ledger', waiting: 5, parkedKeys: 0, parkedRows: 0 })
  assert.ok(oldestWaitingMs > 0)
  assert.deepEqual(lanesWithoutOwner, [])
  assert.equal(lanes.length, 16)
  assert.deepEqual([...new Set(lanes.map(({ owner }: { owner: string }) => owner))], [relay.id])
  assert.deepEqual(
    result.relays.map(({ id, pid }: { id: string; pid: number }) => [id, pid]),
    [[relay.id, process.pid]],
  )
  sink.intercept = () => undefined
  await waitFor(async () => (await waiting()) === 0, { describe: 'all to be taken', timeoutMs: 15_000 })
})

test('status names lanes without owner, and those that stand still with what to do', async (t) => {
  const { scene, sink, run, json } = await openOutbox(t)
  const relay = scene.relay(sink, { redriveMaxMs: 0 })
  relay.start()
  const lane = await bring(scene, sink, 3)
  sink.forget(lane, 2)
  await stands(scene)
  const { stdout } = await run('status')
  assert.match(
    stdout,
    new RegExp(`ledger: lane ${lane} has stood still for .*, 0 waiting: the sink forgot batches 2 to 3`),
  )
  assert.match(stdout, /Run moca outbox redrive --since/)
  await relay.stop()
  assert.match((await run('status')).stdout, /ledger: All lanes have no owner[^]*|Relays: none is alive/)
  const { result } = await json('status')
  assert.equal(result.sinks[0].lanesWithoutOwner.length, 16)
  const { reason, found, expected } = result.sinks[0].lanes[lane].standstill
  assert.deepEqual({ reason, found, expected }, { reason: 'forgot', found: 1, expected: 3 })
})

test('retry frees a parked key, or says why it was refused again', async (t) => {
  const { scene, sink, run, json } = await openOutbox(t)
  let isBroken = true
  sink.isBroken = (row) => isBroken && row.payload.includes('"poison"')
  scene.relay(sink).start()
  const [first] = await scene.record([{ key: 'a', data: 'poison' }, { key: 'a' }, { key: 'a' }])
  await waitFor(async () => (await countParked(scene)) === 3, { describe: 'the key to be parked' })
  const { result } = await json('status', '--parked')
  const [{ since, parking, ...parked }] = result.parked
  assert.ok(!Number.isNaN(Date.parse(since)) && parking > 0)
  assert.deepEqual(parked, {
    sink: 'ledger',
    lane: parked.lane,
    key: 'a',
    reason: 'unreadable',
    error: 'The test says so',
    first: { id: first, kind: 'event', topic: 'test.things', type: 'happened' },
    behind: 2,
  })
  assert.deepEqual([result.sinks[0].parkedKeys, result.sinks[0].parkedRows, result.sinks[0].waiting], [1, 3, 0])
  assert.match((await run('status', '--parked')).stdout, /a .*test.things happened .*unreadable: The test says so/)

  const dry = await json('retry', 'a', '--dry-run')
  assert.deepEqual([dry.code, dry.result.keys.length, dry.result.keys[0].outcome], [0, 1, undefined])
  const refused = await json('retry', 'a')
  assert.deepEqual([refused.code, refused.result.keys[0].outcome], [1, 'refused'])
  assert.equal(refused.result.keys[0].error, 'The test says so')
  isBroken = false
  const freed = await run('retry', 'a')
  assert.deepEqual([freed.code, freed.stdout], [0, 'Key a of sink ledger is free.\n'])
  assert.equal(sink.ids.length, 3)
  const gone = await run('retry', 'a')
  assert.deepEqual([gone.code, gone.stdout], [1, ''])
  assert.match(gone.stderr, /Key a is not parked/)
  const [wish] = await scene.database.query<{ wished_by: string }>('select wished_by from moca.parked_key')
  assert.match(wish?.wished_by ?? '', /.+@.+/)
})

test('skip and discard are refused without a terminal unless forced; --all means every parked key', async (t) => {
  const { scene, sink, run, json } = await openOutbox(t)
  sink.isBroken = (row) => row.payload.includes('"poison"')
  scene.relay(sink).start()
  await scene.record(
    ['a', 'b', 'c'].flatMap((key) => [
      { key, data: 'poison' },
      { key, data: 'behind' },
    ]),
  )
  await waitFor(async () => (await countParked(scene)) === 6, { describe: 'three parked keys' })
  const asked = await run('discard', 'a')
  assert.deepEqual([asked.code, asked.stdout], [2, ''])
  assert.equal((await run('skip')).code, 2)
  assert.equal((await run('skip', '--all', '--sink', 'kafka')).code, 1)
  assert.equal(await countParked(scene), 6)
  const discarded = await json('discard', 'a', '--force')
  assert.deepEqual([discarded.code, discarded.result.keys[0].outcome], [0, 'freed'])
  assert.equal(sink.ids.length, 0)
  const skipped = await json('skip', '--all', '--force')
  assert.deepEqual(
    skipped.result.keys.map(({ key, outcome }: { key: string; outcome: string }) => [key, outcome]).toSorted(),
    [
      ['b', 'freed'],
      ['c', 'freed'],
    ],
  )
  assert.deepEqual(new Set(sink.rows.map(({ key }) => key)), new Set(['b', 'c']))
  assert.deepEqual((await json('retry', '--all')).result.keys, [])
})

test('a wish is said to wait where no relay is alive, and is fulfilled by the next one', async (t) => {
  const { scene, sink, run } = await openOutbox(t)
  let isBroken = true
  sink.isBroken = () => isBroken
  const relay = scene.relay(sink)
  relay.start()
  await scene.record([{ key: 'a' }])
  await waitFor(async () => (await countParked(scene)) === 1, { describe: 'the key to be parked' })
  await relay.stop()
  isBroken = false
  const { code, stdout, stderr } = await run('retry', 'a')
  assert.equal(code, 1)
  assert.match(stderr, /No relay is alive/)
  assert.match(stdout, /no relay has fulfilled it yet/)
  scene.relay(sink).start()
  await waitFor(() => sink.ids.length === 1, { describe: 'the wish to be fulfilled' })
})

test('redrive sends again what was forgotten long ago, once, and nothing to lanes that lost nothing', async (t) => {
  const { scene, sink, run, json } = await openOutbox(t)
  scene.relay(sink, { redriveMaxMs: 0 }).start()
  const lane = await bring(scene, sink, 5)
  const others = await scene.record(['b', 'c', 'd', 'e'].map((key) => ({ key })))
  await waitFor(() => sink.ids.length === 9, { describe: 'the others' })
  const before = sink.ids.toSorted()
  const lost = sink.forget(lane)
  await stands(scene)
  const dry = await json('redrive', '--since', '1h', '--dry-run')
  assert.deepEqual([dry.code, dry.result.fulfilled], [0, false])
  const { missing, older } = dry.result.lanes.find((each: { lane: number }) => each.lane === lane)
  assert.deepEqual([missing.rows, older.rows], [lost, 0])
  assert.equal((await run('redrive', '--since', '1h')).code, 2)
  assert.equal(sink.batchesOf(lane).length, 0)

  const done = await json('redrive', '--since', '1h', '--force')
  assert.deepEqual([done.code, done.result.fulfilled], [0, true])
  assert.match(done.stderr, /\d+ of \d+ lanes done/)
  assert.deepEqual(sink.ids.toSorted(), before)
  assert.ok(others.every((id) => sink.ids.includes(id)))
  const resent = await scene.database.query('select from moca.resent')
  const again = await json('redrive', '--since', '1h', '--force')
  assert.deepEqual([again.code, again.result.fulfilled, again.result.rows], [0, true, 0])
  assert.equal((await scene.database.query('select from moca.resent')).length, resent.length)
  assert.deepEqual(sink.ids.toSorted(), before)
  // What was lost before is known; a later loss is again left to the operator.
  sink.forget(lane)
  await stands(scene)
})

test('redrive says how much is older than it was asked for, and leaves that out', async (t) => {
  const { scene, sink, json, run } = await openOutbox(t)
  scene.relay(sink, { redriveMaxMs: 0 }).start()
  const lane = await bring(scene, sink, 4)
  await scene.database.query(`update moca.outbox_batch set at = at - interval '1 day' where n <= 2`)
  sink.forget(lane)
  await stands(scene)
  assert.match((await run('redrive', '--since', '1h', '--dry-run')).stdout, /OLDER ROWS, LEFT OUT/)
  const { result } = await json('redrive', '--since', '1h', '--force')
  const [{ fromN, uptoN, missing, older }] = result.lanes
  assert.deepEqual(
    { fromN, uptoN, missing, older },
    {
      fromN: 3,
      uptoN: 4,
      missing: { batches: 2, rows: 2 },
      older: { batches: 2, rows: 2 },
    },
  )
  assert.equal(sink.ids.length, 2)
  const wrong = await run('redrive')
  assert.equal(wrong.code, 2)
  assert.match(wrong.stderr, /Say from when on/)
})

test('status --watch goes on until a signal', async (t) => {
  const { scene } = await openOutbox(t)
  const running = project.start(['outbox', 'status', '--watch', '--json'], { DATABASE_URL: scene.database.url })
  await running.said(/^\{.*\}\n\{.*\}\n/)
  running.kill('SIGTERM')
  assert.equal((await running.ended).code, 0)
})
