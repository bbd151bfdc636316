import assert from 'node:assert/strict'
import { test } from 'node:test'
import { outboxScenes } from '../../test/support/outbox-scene.ts'
import {
  capture,
  CITY,
  differencesOf,
  idsOf,
  openIndex,
  prepareCities,
  SAME,
  startSync,
  waitUntilLive,
} from '../../test/support/search-scene.ts'
import { waitFor } from '../../test/support/wait-for.ts'
import { systemClock } from '../clock.ts'
import { defineDoctype } from '../doctype/doctype.ts'
import { type Logger, silentLogger } from '../logger.ts'
import { migrate } from '../outbox/migrations.ts'
import { PostgresConnection } from '../postgres/connection.ts'
import { readIndexStatus } from './index-status.ts'
import { rebuildIndex } from './rebuild.ts'
import type { SearchEngine, Submission, Ticket, TicketOutcome } from './search-engine.ts'
import { isSearched, type SearchedDoctype } from './projection.ts'

const openScene = outboxScenes()

test('builds an index that there is none of, and follows every change', async (t) => {
  const scene = await openScene(t)
  await prepareCities(scene)
  await scene.database.query("insert into city select n, 'Old ' || n, 'FR', n from generate_series(1, 2500) n")
  const index = openIndex(t, scene)
  startSync(t, [index])
  await waitUntilLive(index)
  assert.deepEqual(await differencesOf(index), SAME)
  await scene.database.query("insert into city values (10001, 'Paris', 'FR', 2000000)")
  await waitFor(async () => (await idsOf(index, 'paris')).length === 1, { describe: 'Paris to be found' })
  await scene.database.query("update city set name = 'Lutetia' where id = 10001")
  await waitFor(async () => (await idsOf(index, 'lutetia')).length === 1, { describe: 'Lutetia to be found' })
  assert.deepEqual(await idsOf(index, 'paris'), [])
  await scene.database.query('delete from city where id = 10001; update city set id = 20001 where id = 1')
  await waitFor(async () => (await idsOf(index, 'lutetia')).length === 0, { describe: 'Lutetia to be gone' })
  assert.deepEqual(await differencesOf(index), SAME)
  assert.deepEqual(await idsOf(index, 'Old 1 '), ['20001'])
  await scene.database.query('truncate city')
  await waitFor(async () => (await idsOf(index, '')).length === 0, { describe: 'all to be gone' })
})

test('a document that changes while it is indexed is indexed again', async (t) => {
  const scene = await openScene(t)
  let changed = false
  const doctype = defineDoctype({
    ...CITY,
    search: {
      searchable: ['name'],
      project: async (rows) => {
        // Between the reading of the row and the end of its indexing.
        if (!changed && rows.some(({ name }) => name === 'first')) {
          changed = true
          await scene.database.query("update city set name = 'second' where id = 1")
        }
        return rows.map(({ name }) => ({ name }))
      },
    },
  })
  await prepareCities(scene, doctype)
  const index = openIndex(t, scene, { doctype })
  startSync(t, [index])
  await waitUntilLive(index)
  await scene.database.query("insert into city values (1, 'first')")
  await waitFor(async () => (await idsOf(index, 'second')).length === 1, { describe: 'the second name to be found' })
  assert.ok(changed)
  assert.deepEqual(await idsOf(index, 'first'), [])
})

test('rows that are marked as deleted, and those that the projection leaves out, are not found', async (t) => {
  const scene = await openScene(t)
  const doctype = defineDoctype({
    ...CITY,
    search: {
      searchable: ['name'],
      softDelete: 'deleted_at',
      project: (rows) => rows.map(({ name, population }) => (population === 0 ? null : { name })),
    },
  })
  await prepareCities(scene, doctype)
  const index = openIndex(t, scene, { doctype })
  startSync(t, [index])
  await waitUntilLive(index)
  await scene.database.query(
    "insert into city values (1, 'a', 'x', 1, null), (2, 'b', 'x', 0, null), (3, 'c', 'x', 1, now())",
  )
  await waitFor(async () => (await idsOf(index, '')).length === 1, { describe: 'one to be found' })
  assert.deepEqual(await idsOf(index, ''), ['1'])
  await scene.database.query(
    'update city set deleted_at = now() where id = 1; update city set population = 1 where id = 2; update city set deleted_at = null where id = 3',
  )
  await waitFor(async () => (await idsOf(index, '')).join() === '2,3', { describe: 'the other two to be found' })
  assert.deepEqual(await differencesOf(index), SAME)
})

test('a document that cannot be indexed is parked by name, the others go on, and it is tried again when it changes', async (t) => {
  const scene = await openScene(t)
  const warnings: object[] = []
  const log = {
    debug: () => {},
    info: () => {},
    warn: (facts: object) => void warnings.push(facts),
    error: () => {},
    child: () => log,
  } as unknown as Logger
  const doctype = defineDoctype({
    ...CITY,
    search: {
      searchable: ['name'],
      facets: ['a', 'b', 'c'],
      project: (rows) =>
        rows.map(({ name }) => {
          if (name === 'poison') throw new Error('no city is named so')
          if (name !== 'huge') return { name }
          // More values than go in a vector.
          const values = Array.from({ length: 1_000 }, (_, n) => `${n}${'x'.repeat(390)}`)
          return { name, a: values, b: values, c: values }
        }),
    },
  })
  await prepareCities(scene, doctype)
  const index = openIndex(t, scene, { doctype, log })
  startSync(t, [index])
  await waitUntilLive(index)
  await scene.database.query(
    `insert into city select n, case n when 17 then 'poison' when 400 then 'huge' else 'fine' end from generate_series(1, 1000) n`,
  )
  await waitFor(async () => (await idsOf(index, 'fine')).length === 998, { describe: 'the others to be found' })
  const { generation = '' } = (await index.engine.live('City')) ?? {}
  const parked = async () => (await index.dirty(generation).listParked(10)).map(({ docname }) => docname).toSorted()
  await waitFor(async () => (await parked()).length === 2, { describe: 'two to be parked' })
  assert.deepEqual(await parked(), ['17', '400'])
  const [first] = (await index.dirty(generation).listParked(10)).filter(({ docname }) => docname === '17')
  assert.equal(first?.error, 'no city is named so')
  assert.ok(warnings.some((facts) => (facts as { docname?: string }).docname === '17'))
  await scene.database.query("update city set name = 'mended' where id = 17")
  await waitFor(async () => (await idsOf(index, 'mended')).join() === '17', { describe: 'the mended one to be found' })
  await waitFor(async () => (await parked()).join() === '400', { describe: 'it to be parked no more' })
  assert.equal(await index.dirty(generation).retry(), 1)
  await waitFor(async () => (await parked()).join() === '400', { describe: 'the other one to be parked again' })
})

test('a wrong statement in a projection parks nothing: the index stands still and says why, and goes on when it is mended', async (t) => {
  const scene = await openScene(t)
  const doctype = defineDoctype({
    ...CITY,
    search: {
      searchable: ['name'],
      project: async (rows, { query }) => {
        await query('select * from helper')
        return rows.map(({ name }) => ({ name }))
      },
    },
  })
  await prepareCities(scene, doctype)
  await scene.database.query('create table helper ()')
  const told: string[] = []
  const tell = (_facts: object, message: string) => void told.push(message)
  const log = { ...silentLogger, info: tell, warn: tell }
  const index = openIndex(t, scene, { doctype })
  let tries = 0
  const take = index.take.bind(index)
  index.take = (generation) => {
    tries++
    return take(generation)
  }
  const sync = startSync(t, [index], log)
  await waitUntilLive(index)
  await scene.database.query("drop table helper; insert into city values (1, 'a')")
  await waitFor(() => sync.health()[0]?.state === 'failing', { describe: 'it to say that it fails' })
  assert.match(sync.health()[0]?.reason ?? '', /helper/)
  const triesSoFar = tries
  await waitFor(() => tries >= triesSoFar + 3, { describe: 'it to be tried a few times' })
  assert.equal(sync.health()[0]?.state, 'failing')
  assert.deepEqual(
    told.filter((message) => message.includes('followed again')),
    [],
  )
  const { standstill } = await readIndexStatus(index)
  assert.match(standstill?.reason ?? '', /helper/)
  assert.ok(standstill && standstill.triedAt > standstill.since)
  await scene.database.query('create table helper ()')
  await waitFor(async () => (await idsOf(index, 'a')).length === 1, { describe: 'it to go on' })
  const { generation = '' } = (await index.engine.live('City')) ?? {}
  assert.equal((await index.dirty(generation).count()).parked, 0)
  assert.equal((await readIndexStatus(index)).standstill, undefined)
})

test('a projection gets a thousand rows at most, and may take longer than a lease though another process waits for the index', async (t) => {
  const scene = await openScene(t)
  let most = 0
  let calls = 0
  let isOver = false
  let tries = 0
  const doctype = defineDoctype({
    ...CITY,
    search: {
      searchable: ['name'],
      project: async (rows) => {
        most = Math.max(most, rows.length)
        if (rows.some(({ name }) => name === 'slow')) {
          calls++
          const before = tries
          await waitFor(() => isOver || tries >= before + 4, { describe: 'the other one to try', timeoutMs: 20_000 })
        }
        return rows.map(({ name }) => ({ name }))
      },
    },
  })
  t.after(() => {
    isOver = true
  })
  await prepareCities(scene, doctype)
  // Far less than the other one's tries take.
  const leaseMs = 600
  const index = openIndex(t, scene, { doctype, owner: 'first', leaseMs })
  startSync(t, [index])
  await waitUntilLive(index)
  await scene.database.query("insert into city select n, 'fine' from generate_series(1, 5000) n")
  assert.deepEqual(await differencesOf(index), SAME)
  assert.equal(most, 1_000)
  const other = openIndex(t, scene, { doctype, owner: 'second', leaseMs })
  const take = other.take.bind(other)
  other.take = (generation) => {
    tries++
    return take(generation)
  }
  startSync(t, [other])
  await waitFor(() => tries > 0, { describe: 'the other one to wait' })
  await scene.database.query("insert into city values (10001, 'slow')")
  await waitFor(async () => (await idsOf(index, 'slow')).length === 1, {
    describe: 'it to be found',
    timeoutMs: 20_000,
  })
  assert.equal(calls, 1)
  const { generation = '' } = (await index.engine.live('City')) ?? {}
  assert.equal((await index.standing(generation))?.owner, 'first')
})

test('a projection that hangs is given up and told, and the index goes on when it is mended', async (t) => {
  const scene = await openScene(t)
  let hangs = true
  const doctype = defineDoctype({
    ...CITY,
    search: {
      searchable: ['name'],
      project: (rows) =>
        hangs && rows.length > 0 ? new Promise(() => {}) : Promise.resolve(rows.map(({ name }) => ({ name }))),
    },
  })
  await prepareCities(scene, doctype)
  const index = openIndex(t, scene, { doctype, projectionMs: 200 })
  const sync = startSync(t, [index])
  await waitUntilLive(index)
  await scene.database.query("insert into city values (1, 'a')")
  await waitFor(() => sync.health()[0]?.state === 'failing', { describe: 'it to say that it fails' })
  assert.match(sync.health()[0]?.reason ?? '', /search\.project of doctype City was not done with 1 rows within 0\.2 s/)
  hangs = false
  await waitFor(async () => (await idsOf(index, 'a')).length === 1, { describe: 'it to go on' })
  const { generation = '' } = (await index.engine.live('City')) ?? {}
  assert.equal((await index.dirty(generation).count()).parked, 0)
})

test('documents that embed another one are indexed again when it changes, in chunks, and where a statement finds them', async (t) => {
  const scene = await openScene(t)
  const country = defineDoctype({ name: 'Country', table: 'country', key: 'code' })
  const tagging = defineDoctype({ name: 'Tag', table: 'tag', key: 'id' })
  const doctype = defineDoctype({
    ...CITY,
    search: {
      searchable: ['name', 'countryName', 'tags'],
      embeds: [
        { doctype: 'Country', column: 'country' },
        { doctype: 'Tag', find: 'select city_id from city_tag where tag_id::text = any ($1)' },
        // By the key alone: of a row that is gone nothing else is left.
        { doctype: 'CityTag', find: 'select key::json ->> 0 from unnest($1::text[]) key' },
      ],
      project: async (rows, { query }) => {
        const codes = rows.map((row) => row.country)
        const names = new Map(
          (
            await query<{ code: string; name: string }>('select code, name from country where code = any ($1)', [codes])
          ).map((each) => [each.code, each.name]),
        )
        const tags = await query<{ city_id: number; name: string }>(
          'select city_id, name from city_tag join tag on tag.id = tag_id where city_id = any ($1) order by name',
          [rows.map(({ id }) => id)],
        )
        return rows.map((row) => ({
          name: row.name,
          countryName: names.get(row.country as string) ?? null,
          tags: tags.filter((tag) => tag.city_id === row.id).map((tag) => tag.name),
        }))
      },
    },
  })
  await prepareCities(scene, doctype)
  await scene.database.query(`
create table country (code text primary key, name text);
create table tag (id int primary key, name text);
create table city_tag (city_id int, tag_id int references tag on delete cascade, primary key (city_id, tag_id));
insert into country values ('FR', 'France'), ('DE', 'Germany');
insert into tag values (1, 'old');
insert into city select n, 'c' || n, case when n % 2 = 0 then 'FR' else 'DE' end from generate_series(1, 5000) n;
insert into city_tag values (7, 1), (4999, 1)`)
  await capture(scene, country)
  await capture(scene, tagging)
  await capture(scene, defineDoctype({ name: 'CityTag', table: 'city_tag', key: ['city_id', 'tag_id'] }))
  const index = openIndex(t, scene, { doctype })
  startSync(t, [index])
  await waitUntilLive(index)
  assert.equal((await idsOf(index, 'france')).length, 1000)
  await scene.database.query("update country set name = 'Frankreich' where code = 'FR'")
  const [live] = await scene.database.query<{ id: number }>('select id from moca.search_generation where is_live')
  const renamed = `select count(*)::int as count from moca.search_document_${live?.id} where fields ->> 'countryName' = 'Frankreich'`
  await waitFor(async () => (await scene.database.query<{ count: number }>(renamed))[0]?.count === 2500, {
    timeoutMs: 20_000,
    describe: 'all cities of France to be indexed anew',
  })
  await scene.database.query("update tag set name = 'ancient' where id = 1")
  await waitFor(async () => (await idsOf(index, 'ancient')).length === 2, { describe: 'both to be found by the tag' })
  await scene.database.query('update city_tag set city_id = 8 where city_id = 7')
  const tagged = async () => (await idsOf(index, 'ancient')).toSorted().join()
  await waitFor(async () => (await tagged()) === '4999,8', { describe: 'the tag to go from one to another' })
  await scene.database.query('delete from tag where id = 1')
  await waitFor(async () => (await tagged()) === '', { describe: 'the tag to be gone from both' })
  assert.deepEqual(await differencesOf(index), SAME)
})

test('keys of several columns, and of strange values', async (t) => {
  const scene = await openScene(t)
  const doctype = defineDoctype({
    name: 'Place',
    table: 'place',
    key: ['site', 'Name'],
    search: { searchable: ['text'] },
  })
  await scene.database.query('create table place (site uuid, "Name" text, text text, primary key (site, "Name"))')
  await capture(scene, doctype)
  const fill = `insert into place select md5(n::text)::uuid, v, 'text ' || n from generate_series(1, 40) n, unnest(array['', 'a"b', 'ä,ö', '["x"]', E'\\\\']) v`
  await scene.database.query(fill)
  const index = openIndex(t, scene, { doctype })
  startSync(t, [index])
  await waitUntilLive(index)
  assert.deepEqual(await differencesOf(index), SAME)
  await scene.database.query(`delete from place; ${fill}; update place set text = 'changed' where "Name" = 'a"b'`)
  await waitFor(async () => (await idsOf(index, 'changed')).length === 40, { describe: 'the changed ones to be found' })
  assert.deepEqual(await differencesOf(index), SAME)
})

test('only one process writes an index, and another takes over when it stops', async (t) => {
  const scene = await openScene(t)
  await prepareCities(scene)
  const [first, second] = [openIndex(t, scene, { owner: 'first' }), openIndex(t, scene, { owner: 'second' })]
  const sync = startSync(t, [first])
  await waitUntilLive(first)
  const other = startSync(t, [second])
  await waitFor(() => other.health()[0]?.state === 'waiting', { describe: 'the second one to wait' })
  const { generation = '' } = (await first.engine.live('City')) ?? {}
  assert.equal((await first.standing(generation))?.owner, 'first')
  await sync.stop()
  await waitFor(() => other.health()[0]?.state === 'following', { describe: 'the second one to follow' })
  await scene.database.query("insert into city values (1, 'Bern')")
  await waitFor(async () => (await idsOf(second, 'bern')).length === 1, { describe: 'Bern to be found' })
})

test('rebuilds while others write, swaps, and loses nothing; two at once: the second is told who does it', async (t) => {
  const scene = await openScene(t)
  await prepareCities(scene)
  await scene.database.query("insert into city select n, 'city ' || n, 'FR', n from generate_series(1, 5000) n")
  const [index, other] = [openIndex(t, scene), openIndex(t, scene)]
  startSync(t, [index])
  await waitUntilLive(index)
  const before = (await index.engine.live('City'))?.generation
  const isOver = new AbortController()
  const write = async (writer: number) => {
    const connection = await scene.connect()
    for (let n = 0; !isOver.signal.aborted; n++) {
      const id = 1 + ((n * 7 + writer * 2_503) % 5_000)
      await connection.query("update city set name = 'changed ' || $2 where id = $1", [id, n])
      await connection.query("insert into city values ($1, 'new')", [10_000 * writer + n])
      if (n % 3 === 0) await connection.query('delete from city where id = $1', [1 + ((n * 11) % 5_000)])
    }
  }
  const writers = [write(1), write(2)]
  let refused: Error | undefined
  const steps = new Set<string>()
  try {
    const result = await rebuildIndex(openIndex(t, scene, { owner: 'rebuilder' }), {
      pageSize: 200,
      onProgress: ({ step }) => {
        steps.add(step)
        if (refused) return
        refused = new Error('asked')
        void rebuildIndex(other).catch((error: Error) => {
          refused = error
        })
      },
    })
    assert.equal(result.replaced, before)
    await waitFor(() => refused?.name === 'RebuildUnderWayError', { describe: 'the second rebuild to be refused' })
    assert.match(refused?.message ?? '', /rebuilder/)
  } finally {
    isOver.abort()
    await Promise.all(writers)
  }
  assert.deepEqual([...steps], ['copying', 'following', 'verifying', 'swapping'])
  assert.notEqual((await index.engine.live('City'))?.generation, before)
  assert.deepEqual(await differencesOf(index), SAME)
  assert.equal((await index.engine.listGenerations('City')).length, 1)
  assert.deepEqual(await scene.database.query('select * from moca.search_rebuild'), [])
})

test('a rebuild that was ended goes on where it was; with another definition it begins anew', async (t) => {
  const scene = await openScene(t)
  await prepareCities(scene)
  await scene.database.query("insert into city select n, 'city ' || n, 'FR', n from generate_series(1, 3000) n")
  const index = openIndex(t, scene)
  const stop = new AbortController()
  const ended = rebuildIndex(index, {
    pageSize: 100,
    signal: stop.signal,
    onProgress: ({ documents }) => {
      if (documents >= 1_000) stop.abort()
    },
  })
  await assert.rejects(ended, { name: 'AbortError' })
  await scene.database.query("update city set name = 'changed' where id = 5; delete from city where id = 6")
  const seen: number[] = []
  const result = await rebuildIndex(openIndex(t, scene), {
    pageSize: 100,
    onProgress: ({ documents, isResumed }) => {
      assert.ok(isResumed)
      seen.push(documents)
    },
  })
  assert.ok((seen[0] ?? 0) > 1_000, `${seen[0]}`)
  assert.equal(result.documents, 3_000)
  startSync(t, [index])
  assert.deepEqual(await differencesOf(index), SAME)
  assert.deepEqual(await idsOf(index, 'changed'), ['5'])

  const again = new AbortController()
  const endedAgain = rebuildIndex(openIndex(t, scene), {
    pageSize: 100,
    signal: again.signal,
    onProgress: () => again.abort(),
  })
  await assert.rejects(endedAgain, { name: 'AbortError' })
  const doctype = defineDoctype({ ...CITY, search: { searchable: ['country'] } })
  assert.ok(isSearched(doctype))
  const changed = await rebuildIndex(openIndex(t, scene, { doctype }), {
    onProgress: ({ isResumed }) => assert.ok(!isResumed),
  })
  assert.equal(changed.documents, 2_999)
  assert.equal((await index.engine.listGenerations('City')).length, 1)
})

test('a generation that somebody reads for long is left behind by the swap, holds up nobody, and is dropped later', async (t) => {
  const scene = await openScene(t)
  await prepareCities(scene)
  await scene.database.query("insert into city values (1, 'Bern')")
  const told: string[] = []
  const log = { ...silentLogger, warn: (_facts: object, message: string) => void told.push(message) }
  const index = openIndex(t, scene, { log })
  const first = await rebuildIndex(index)
  const [row] = await scene.database.query<{ id: number }>('select id from moca.search_generation')
  const dump = await scene.connect()
  await dump.query('begin')
  await dump.query(`select from moca.search_document_${row?.id}`)
  const second = await rebuildIndex(index)
  assert.equal(second.replaced, first.generation)
  assert.ok(told.some((message) => message.includes('is read by somebody else')))
  assert.deepEqual(await idsOf(openIndex(t, scene), 'bern'), ['1'])
  assert.equal((await index.engine.listGenerations('City')).length, 2)
  await dump.query('commit')
  startSync(t, [openIndex(t, scene)])
  const isDropped = async () => (await index.engine.listGenerations('City')).length === 1
  await waitFor(isDropped, { describe: 'the old generation to be dropped' })
})

test('a change that comes while the live index is waited for is in the new generation when it is swapped in', async (t) => {
  const scene = await openScene(t)
  await prepareCities(scene)
  const { generation: live } = await rebuildIndex(openIndex(t, scene))
  let atSwap: number | undefined
  const engine = (real: SearchEngine): SearchEngine => ({
    ...methodsOf(real),
    swap: async (name, from, to) => {
      atSwap = await real.count({ index: name, generation: to })
      return real.swap(name, from, to)
    },
  })
  const index = openIndex(t, scene, { engine })
  const take = index.take.bind(index)
  index.take = async (generation) => {
    if (generation === live) await scene.database.query("insert into city values (1, 'Bern')")
    return take(generation)
  }
  await rebuildIndex(index)
  assert.equal(atSwap, 1)
})

test('rows are read before their batch is intended, submitted after that, and settled last', async (t) => {
  const scene = await openScene(t)
  await prepareCities(scene)
  const steps: string[] = []
  const engine = (real: SearchEngine): SearchEngine => ({
    ...methodsOf(real),
    submit: (submission) => {
      steps.push('submit')
      return real.submit(submission)
    },
  })
  const index = openIndex(t, scene, { engine })
  const { generation } = await rebuildIndex(index)
  const read = index.rows.read.bind(index.rows)
  index.rows.read = (docnames) => {
    if (docnames.length > 0) steps.push('read')
    return read(docnames)
  }
  const feed = await index.take(generation)
  assert.ok(feed)
  const writer = await index.writer(generation, {
    epoch: feed.epoch,
    next: () => feed.next(),
    intend: (batch) => {
      steps.push('intend')
      return feed.intend(batch)
    },
    settle: (batch) => {
      steps.push('settle')
      return feed.settle(batch)
    },
    renew: () => feed.renew(),
    leave: () => feed.leave(),
  })
  await scene.database.query("insert into city values (1, 'Bern')")
  steps.length = 0
  await writer.level()
  await feed.leave()
  assert.deepEqual(steps.slice(0, 4), ['read', 'intend', 'submit', 'settle'])
})

test('nothing is submitted in the last part of a lease, however the process came to be so late', async (t) => {
  const scene = await openScene(t)
  await prepareCities(scene)
  let aheadMs = 0
  let submitted = 0
  const engine = (real: SearchEngine): SearchEngine => ({
    ...methodsOf(real),
    submit: (submission) => {
      submitted++
      return real.submit(submission)
    },
  })
  const clock = { ...systemClock, monotonicMs: () => performance.now() + aheadMs }
  const index = openIndex(t, scene, { engine, clock, leaseMs: 10_000 })
  const { generation } = await rebuildIndex(index)
  const feed = await index.take(generation)
  assert.ok(feed)
  const writer = await index.writer(generation, {
    epoch: feed.epoch,
    next: () => feed.next(),
    intend: async (batch) => {
      const isIntended = await feed.intend(batch)
      aheadMs += 5_000
      return isIntended
    },
    settle: (batch) => feed.settle(batch),
    // The server extends the lease, and the process is stopped before it reads the answer.
    renew: async () => {
      const isOwner = await feed.renew()
      aheadMs += 8_000
      return isOwner
    },
    leave: () => feed.leave(),
  })
  await scene.database.query("insert into city values (1, 'Bern')")
  await assert.rejects(writer.level(), { name: 'IndexLostError' })
  assert.equal(submitted, 0)
  await feed.leave()
})

test('a rebuild that was refused names what cannot be indexed, and goes on with code that was mended where no hash sees it', async (t) => {
  const scene = await openScene(t)
  await prepareCities(scene)
  await scene.database.query("insert into city select n, 'city ' || n, 'FR', n from generate_series(1, 50) n")
  let describe = (name: unknown, population: unknown): string => {
    if (population === 7) throw new Error('no sevens')
    return `old ${String(name)}`
  }
  const doctype = defineDoctype({
    ...CITY,
    search: {
      searchable: ['name'],
      project: (rows) => rows.map(({ name, population }) => ({ name: describe(name, population) })),
    },
  })
  const message = /^1 documents of City cannot be indexed \(7: no sevens\)/
  await assert.rejects(rebuildIndex(openIndex(t, scene, { doctype })), { code: 'search_differs', message })
  await assert.rejects(rebuildIndex(openIndex(t, scene, { doctype })), { code: 'search_differs', message })
  describe = (name) => `new ${String(name)}`
  const index = openIndex(t, scene, { doctype })
  const { parked } = await rebuildIndex(index, { onProgress: ({ isResumed }) => assert.ok(isResumed) })
  assert.equal(parked, 0)
  assert.equal((await idsOf(index, 'new ')).length, 50)
  let calls = 0
  describe = () => `never the same ${calls++}`
  const differs = { code: 'search_differs', message: /50 stale/ }
  await assert.rejects(rebuildIndex(openIndex(t, scene, { doctype })), differs)
  await assert.rejects(rebuildIndex(openIndex(t, scene, { doctype })), differs)
})

test('a definition that is wrong is told by a verification, and no document is blamed', async (t) => {
  const scene = await openScene(t)
  await prepareCities(scene)
  await scene.database.query("insert into city values (1, 'Bern')")
  await rebuildIndex(openIndex(t, scene))
  const doctype = defineDoctype({ ...CITY, search: { searchable: ['name'], project: () => [] } })
  await assert.rejects(differencesOf(openIndex(t, scene, { doctype })), /must return a list of 1/)
})

test('a rebuild that dies between the swap and its note leaves an index that is followed', async (t) => {
  const scene = await openScene(t)
  await prepareCities(scene)
  const index = openIndex(t, scene)
  startSync(t, [index])
  await waitUntilLive(index)
  const before = (await index.engine.live('City'))?.generation
  const engine = (real: SearchEngine): SearchEngine => ({
    ...methodsOf(real),
    swap: async (...args) => {
      await real.swap(...args)
      throw new Error('killed')
    },
  })
  await assert.rejects(rebuildIndex(openIndex(t, scene, { engine })), /killed/)
  assert.notEqual((await index.engine.live('City'))?.generation, before)
  await scene.database.query("insert into city values (1, 'Bern')")
  await waitFor(async () => (await idsOf(index, 'bern')).length === 1, { describe: 'Bern to be found' })
  assert.deepEqual(await differencesOf(index), SAME)
  await rebuildIndex(openIndex(t, scene))
  assert.equal((await index.engine.listGenerations('City')).length, 1)
})

/** The engine as an object of its own, of which parts can be replaced. */
function methodsOf(real: SearchEngine): SearchEngine {
  return {
    name: real.name,
    ordersBy: real.ordersBy,
    create: (...args) => real.create(...args),
    live: (...args) => real.live(...args),
    listGenerations: (...args) => real.listGenerations(...args),
    swap: (...args) => real.swap(...args),
    drop: (...args) => real.drop(...args),
    remove: (...args) => real.remove(...args),
    submit: (...args) => real.submit(...args),
    settle: (...args) => real.settle(...args),
    readRevs: (...args) => real.readRevs(...args),
    readPage: (...args) => real.readPage(...args),
    count: (...args) => real.count(...args),
    query: (...args) => real.query(...args),
    close: () => real.close(),
  }
}

/** An engine whose tickets settle later, whose batches fail whole without saying why, and that knows no versions. */
function slowEngine(real: SearchEngine, isBad: (id: string) => boolean): SearchEngine {
  const outcomes = new Map<Ticket, TicketOutcome | Promise<TicketOutcome>>()
  let last: Promise<unknown> = Promise.resolve()
  let submission = 0
  const apply = async (each: Submission): Promise<TicketOutcome> => {
    if (each.put.some(({ id }) => isBad(id))) return { status: 'failed', reason: 'bad batch', ids: [] }
    submission++
    const ticket = await real.submit({ ...each, version: { epoch: 1_000_000, submission } })
    return (await real.settle([ticket], 0))[0] as TicketOutcome
  }
  return {
    ...methodsOf(real),
    name: 'slow',
    ordersBy: 'arrival',
    submit: async (each) => {
      const ticket = `t${outcomes.size}`
      const outcome = last.then(() => apply(each))
      last = outcome
      outcomes.set(ticket, { status: 'pending' })
      void outcome.then((settled) => setTimeout(() => outcomes.set(ticket, settled), 30))
      return ticket
    },
    settle: async (tickets, waitMs) => {
      const read = () => tickets.map((ticket) => outcomes.get(ticket) as TicketOutcome)
      const deadline = Date.now() + waitMs
      while (read().every(({ status }) => status === 'pending') && Date.now() < deadline) {
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
      return read()
    },
  }
}

test('with an engine that settles later and fails whole batches: several under way, the bad one found, nothing lost', async (t) => {
  const scene = await openScene(t)
  await prepareCities(scene)
  const engine = (real: SearchEngine) => slowEngine(real, (id) => id === '1234')
  const index = openIndex(t, scene, { engine })
  startSync(t, [index])
  await waitUntilLive(index)
  const isOver = new AbortController()
  const write = async () => {
    const connection = await scene.connect()
    for (let n = 0; !isOver.signal.aborted; n++) {
      await connection.query(
        "insert into city values ($1, 'one') on conflict (id) do update set name = 'again ' || $2",
        [n % 1_500, n],
      )
    }
  }
  const writing = write()
  const { generation = '' } = (await index.engine.live('City')) ?? {}
  const isParked = async () => (await index.dirty(generation).listParked(10)).some(({ docname }) => docname === '1234')
  await waitFor(isParked, { describe: 'the bad one to be parked', timeoutMs: 30_000 })
  isOver.abort()
  await writing
  assert.deepEqual(await differencesOf(index), { ...SAME, parked: ['1234'] })
})

test('an unknown language is refused when the index is made', async (t) => {
  const scene = await openScene(t)
  const doctype = defineDoctype({ ...CITY, search: { searchable: ['name'], language: 'klingon' } }) as SearchedDoctype
  await prepareCities(scene, doctype)
  await assert.rejects(rebuildIndex(openIndex(t, scene, { doctype })), /no text search configuration klingon/)
})

test('attack 18: a batch that failed is sent again with the rows as they are then, never with an older text after a newer one', async (t) => {
  const scene = await openScene(t)
  await prepareCities(scene)
  const sent: string[] = []
  let failures = 0
  const engine = (real: SearchEngine): SearchEngine => {
    const slow = slowEngine(real, (id) => id === '13')
    return {
      ...slow,
      submit: async (each) => {
        const first = each.put.find(({ id }) => id === '7')
        if (first) sent.push(String(first.fields['name']))
        const isFirstFailure = each.put.some(({ id }) => id === '13') && failures++ === 0
        // The row changes, and the change is committed, before the failure of the batch is known.
        if (isFirstFailure) await scene.database.query("update city set name = 'newer' where id = 7")
        return slow.submit(each)
      },
    }
  }
  const index = openIndex(t, scene, { engine })
  startSync(t, [index])
  await waitUntilLive(index)
  await scene.database.query("insert into city select n, 'older' from generate_series(1, 30) n")
  const { generation = '' } = (await index.engine.live('City')) ?? {}
  const isParked = async () => (await index.dirty(generation).count()).parked === 1
  await waitFor(isParked, { describe: 'the bad one to be parked' })
  assert.deepEqual(await differencesOf(index), { ...SAME, parked: ['13'] })
  assert.equal(sent[0], 'older')
  assert.ok(sent.length >= 2)
  assert.deepEqual(
    sent.slice(1).filter((name) => name !== 'newer'),
    [],
    'each resend reads the rows again',
  )
  assert.deepEqual(await idsOf(index, 'newer'), ['7'])
})

test('a role that may read the list of generations can search and no more; a member of the owner builds and rebuilds', async (t) => {
  const scene = await openScene(t)
  const { name } = scene.database
  const [owner, member, shop] = [`owner_${name}`, `member_${name}`, `shop_${name}`]
  const as = (role: string) => scene.database.url.replace(/\/\/[^@]*@/, `//${role}@`)
  await scene.database.query(`
create role ${owner} login; create role ${member} login in role ${owner}; create role ${shop} login;
grant create on database ${name} to ${owner}; drop schema moca cascade`)
  const connection = await PostgresConnection.open({ url: as(owner) }, 'moca:test')
  await migrate(connection, { schema: 'moca', namespace: 'test', maxBytes: 1_048_576 })
  connection.destroy()
  await prepareCities(scene)
  await scene.database.query(`
insert into city values (1, 'Bern', 'CH', 1); grant select on city to ${owner};
grant usage on schema moca to ${shop}; grant select on moca.search_generation to ${shop}`)
  await rebuildIndex(openIndex(t, scene, { url: as(member) }))
  await rebuildIndex(openIndex(t, scene, { url: as(member) }))
  const [row] = await scene.database.query<{ tableowner: string }>(
    "select distinct tableowner from pg_tables where tablename ~ '^search_(document|word)_'",
  )
  assert.equal(row?.tableowner, owner)
  const searching = openIndex(t, scene, { url: as(shop) })
  assert.deepEqual(await idsOf(searching, 'bern'), ['1'])
  assert.deepEqual(await idsOf(searching, 'barn '), ['1'])
  await assert.rejects(searching.engine.drop({ index: 'City', generation: 'x' }), { code: 'postgres_refused' })
})
