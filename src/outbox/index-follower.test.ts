import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { test, type TestContext } from 'node:test'
import * as fc from 'fast-check'
import { type OutboxScene, outboxScenes } from '../../test/support/outbox-scene.ts'
import { waitFor } from '../../test/support/wait-for.ts'
import { systemClock } from '../clock.ts'
import { defineDoctype } from '../doctype/doctype.ts'
import { silentLogger } from '../logger.ts'
import { Database } from '../postgres/database.ts'
import { Capture } from './capture.ts'
import { DocumentChanges, type FoundChange, mergeChanges } from './document-changes.ts'
import { type FollowedBatch, IndexFollower, type IndexFollowerDeps } from './index-follower.ts'
import { IndexPosition } from './index-position.ts'
import { RelayStore } from './relay-store.ts'
import { Retention } from './retention.ts'

const openScene = outboxScenes()
const FOLLOWER = new URL('../../test/support/follow-index.ts', import.meta.url).pathname

/** A captured table of cities, and an index that begins now. */
async function openCities(t: TestContext): Promise<OutboxScene> {
  const scene = await openScene(t)
  await scene.database.query(
    'create table city (id int primary key, name text); create table copy (like city including all)',
  )
  const connection = await scene.connect()
  await new Capture(connection, 'moca').install(defineDoctype({ name: 'City', table: 'city', key: 'id' }))
  const { log, position } = await depsOf(scene, 'first')
  assert.ok(await position.begin(await log.look(await log.anchor())))
  return scene
}

async function depsOf(scene: OutboxScene, owner: string): Promise<IndexFollowerDeps & { log: RelayStore }> {
  const connection = await scene.connect()
  return {
    log: new RelayStore(connection, { schema: 'moca', sink: 'search', relay: owner }),
    changes: new DocumentChanges(connection, 'moca'),
    position: new IndexPosition(connection, { schema: 'moca', index: 'city', owner, leaseMs: 60_000 }),
    doctypes: ['City'],
  }
}

async function takeAs(scene: OutboxScene, owner: string, clock = systemClock): Promise<IndexFollower> {
  const follower = await IndexFollower.take({ ...(await depsOf(scene, owner)), clock })
  assert.ok(follower, `${owner} takes the index`)
  return follower
}

const names = (batch: FollowedBatch | undefined) => batch?.documents.map(({ docname }) => docname)

async function settleNext(follower: IndexFollower): Promise<readonly string[] | undefined> {
  const batch = await follower.next()
  if (!batch) return undefined
  assert.ok(await follower.intend(batch))
  assert.ok(await follower.settle(batch))
  return names(batch)
}

test('pages of changes cut off line by line are all changes, in order, and each page goes on', () => {
  const change = fc.record({ line: fc.constantFrom('a', 'b', 'c'), docname: fc.constantFrom('1', '2', null) })
  fc.assert(
    fc.property(fc.array(change, { maxLength: 30 }), fc.integer({ min: 1, max: 4 }), (changes, most) => {
      const all: FoundChange[] = changes.map((each, index) => ({
        ...each,
        seq: index + 1,
        doctype: 'D',
        site: null,
        is_end: false,
      }))
      let afterSeq = 0
      const docnames: string[] = []
      for (;;) {
        const lines = Map.groupBy(
          all.filter(({ seq }) => seq > afterSeq),
          ({ line }) => line,
        )
        const found = [...lines.values()].flatMap((line) =>
          line.slice(0, most).map((each, index) => ({ ...each, is_end: index + 1 === most })),
        )
        const reading = mergeChanges(found, all.length)
        const meant = all.filter(({ seq }) => seq > afterSeq && seq <= reading.uptoSeq)
        const expected = new Set(meant.flatMap(({ docname }) => docname ?? []))
        assert.deepEqual(new Set(reading.documents.map(({ docname }) => docname)), expected)
        docnames.push(...expected)
        assert.ok(reading.isLast || reading.uptoSeq > afterSeq)
        afterSeq = reading.uptoSeq
        if (reading.isLast) break
      }
      assert.equal(afterSeq, all.length)
    }),
  )
})

test('follows changes, deletions and what commits late, each document once a window', async (t) => {
  const scene = await openCities(t)
  const follower = await takeAs(scene, 'one')
  assert.equal(await follower.next(), undefined)
  const late = await scene.connect()
  await late.query('begin')
  await late.query("insert into city values (1, 'Bern')")
  await scene.database.query("insert into city values (2, 'Lyon'); update city set name = 'Paris' where id = 2")
  assert.deepEqual(await settleNext(follower), ['2'])
  await late.query('commit')
  assert.deepEqual(await settleNext(follower), ['1'])
  await scene.database.query('delete from city where id = 1')
  assert.deepEqual(await settleNext(follower), ['1'])
  assert.equal(await follower.next(), undefined)
  await scene.record([{ key: 'other' }])
  assert.equal(await follower.next(), undefined, 'what is no document of the index is passed over')
})

test('much that is not of the index is passed over in short readings, each of them written down', async (t) => {
  const scene = await openCities(t)
  const follower = await takeAs(scene, 'one')
  await scene.record(Array.from({ length: 1_200 }, () => ({ key: 'other' })))
  await scene.database.query("insert into city values (1, 'Bern')")
  const found: (readonly string[])[] = []
  for (let each = await settleNext(follower); each; each = await settleNext(follower)) found.push(each)
  assert.ok(found.length >= 3, `1,200 rows of a lane in ${found.length} readings`)
  assert.deepEqual(found.flat(), ['1'])
})

test('what was not settled comes again to the next owner, and what was settled does not', async (t) => {
  const scene = await openCities(t)
  const first = await takeAs(scene, 'one')
  await scene.database.query("insert into city select n, 'x' from generate_series(1, 30000) n")
  const pages: FollowedBatch[] = []
  for (let page = 0; page < 3; page++) {
    const batch = await first.next()
    assert.ok(batch && !batch.endsWindow, 'a window of several batches')
    assert.ok(await first.intend(batch))
    pages.push(batch)
  }
  // The third before the second: it comes again with it.
  for (const settled of [pages[0], pages[2]]) assert.ok(settled && (await first.settle(settled)))
  await first.leave()
  const second = await takeAs(scene, 'two')
  const again: string[] = []
  for (let found = await settleNext(second); found; found = await settleNext(second)) again.push(...found)
  const firstPage = new Set(names(pages[0]))
  assert.equal(again.length, 30_000 - firstPage.size)
  assert.ok(again.every((docname) => !firstPage.has(docname)))
})

test('only one owner writes: nobody takes the index of somebody alive, and one who lost it can neither intend nor settle', async (t) => {
  const scene = await openCities(t)
  const first = await takeAs(scene, 'one')
  assert.equal(await IndexFollower.take(await depsOf(scene, 'two')), undefined)
  await scene.database.query("insert into city values (1, 'Bern')")
  const intended = await first.next()
  assert.ok(intended && (await first.intend(intended)))
  await scene.database.query("insert into city values (2, 'Lyon')")
  const planned = await first.next()
  assert.ok(planned)
  await scene.database.query("update moca.index_lease set alive_until = clock_timestamp() - interval '1 s'")
  const second = await takeAs(scene, 'two')
  assert.equal(await first.renew(), false)
  assert.equal(await first.settle(intended), false)
  assert.equal(await first.intend(planned), false)
  await first.leave()
  assert.equal(await second.renew(), true)
  assert.deepEqual((await settleNext(second))?.toSorted(), ['1', '2'])
})

test('an index that did not begin cannot be taken, and one that began goes on from where it is', async (t) => {
  const scene = await openScene(t)
  const deps = await depsOf(scene, 'one')
  assert.equal(await IndexFollower.take(deps), undefined)
  assert.equal(await deps.position.begin(await deps.log.look(await deps.log.anchor())), true)
  assert.equal(await deps.position.begin(await deps.log.look(await deps.log.anchor())), false)
  assert.ok(await IndexFollower.take(deps))
})

test('a partition stays until the index has what is in it, and an index without changes lets it go', async (t) => {
  const scene = await openCities(t)
  let nowMs = 0
  const follower = await takeAs(scene, 'one', { ...systemClock, monotonicMs: () => nowMs })
  await scene.database.query("insert into city values (1, 'Bern')")
  const batch = await follower.next()
  assert.ok(batch && (await follower.intend(batch)))
  const database = new Database({ url: scene.database.url, maxConnections: 2, name: 'moca:test' })
  t.after(() => database.close())
  const settings = { database, schema: 'moca', ageMs: 0, bytes: undefined, log: silentLogger }
  const moving = new Retention({ ...settings, partitionMs: 0 })
  const keptFor = () => scene.database.query<{ name: string }>('select moca.indexes_need_partition(0) as name')
  await waitFor(async () => (await moving.runOnce()).moved, { describe: 'the log to move on' })
  await waitFor(
    async () => {
      await moving.runOnce() // notes a step later that it is closed
      return (await scene.database.query('select from moca.outbox_partition where closed_xid is not null')).length > 0
    },
    { describe: 'the partition to be closed' },
  )
  assert.deepEqual(await keptFor(), [{ name: 'city' }])
  assert.ok(await follower.settle(batch))
  // What it settled ended before the log moved on: its position does not say yet that nothing else comes.
  nowMs = 59_999
  await scene.record([{ key: 'other' }])
  assert.equal(await follower.next(), undefined)
  nowMs = 60_000
  await scene.record([{ key: 'other' }])
  assert.deepEqual(await settleNext(follower), [])
  assert.deepEqual(await keptFor(), [])
})

test('a copy is as its table is, however often who follows is killed while others write', async (t) => {
  const scene = await openCities(t)
  let child: ChildProcess | undefined
  const kill = async () => {
    const ended = child && once(child, 'exit')
    child?.kill('SIGKILL')
    await ended
  }
  const follow = async () => {
    child = spawn(process.execPath, [FOLLOWER, scene.database.url], { stdio: ['ignore', 'pipe', 'inherit'] })
    if (child.stdout) await once(child.stdout, 'data')
  }
  const isOver = new AbortController()
  // Each document changes a few times and then never again: nothing later makes up for a change that was lost.
  const write = async (writer: number) => {
    const connection = await scene.connect()
    for (let id = writer * 1_000_000; !isOver.signal.aborted; id++) {
      await connection.query("insert into city values ($1, 'new')", [id])
      await connection.query("update city set name = 'changed' where id = $1 - 3", [id])
      if (id % 3 === 0) await connection.query('delete from city where id = $1 - 5', [id])
    }
  }
  const writers = [write(1), write(2)]
  try {
    for (let round = 0; round < 10; round++) {
      await follow()
      const before = await settledBatches(scene)
      const most = Math.floor(Math.random() * 12)
      await waitFor(async () => (await settledBatches(scene)) > before + most, { describe: 'batches to settle' })
      await kill()
    }
    isOver.abort()
    await Promise.all(writers)
    await follow()
    let found: object[] = []
    const isSame = async () => {
      found = await differences(scene)
      return found.length === 0
    }
    await waitFor(isSame, {
      timeoutMs: 10_000,
      describe: () => `the copy to be as the table; differences: ${JSON.stringify(found)}`,
    })
  } finally {
    isOver.abort()
    await Promise.allSettled(writers)
    await kill()
  }
})

async function settledBatches(scene: OutboxScene): Promise<number> {
  const [row] = await scene.database.query<{ count: string }>('select count(*) from moca.index_settled')
  return Number(row?.count)
}

function differences(scene: OutboxScene): Promise<object[]> {
  return scene.database.query(
    'select * from city a full join copy b using (id) where a.name is distinct from b.name limit 5',
  )
}
