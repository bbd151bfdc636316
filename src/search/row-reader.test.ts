import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { type OutboxScene, outboxScenes } from '../../test/support/outbox-scene.ts'
import {
  capture,
  differencesOf,
  idsOf,
  openIndex,
  SAME,
  startSync,
  waitUntilLive,
} from '../../test/support/search-scene.ts'
import { waitFor } from '../../test/support/wait-for.ts'
import { defineDoctype, type DoctypeOptions } from '../doctype/doctype.ts'
import { Database } from '../postgres/database.ts'
import type { SearchedDoctype } from './projection.ts'
import { RowReader } from './row-reader.ts'

const openScene = outboxScenes()

function readerOf(t: TestContext, scene: OutboxScene, options: DoctypeOptions): RowReader {
  const database = new Database({ url: scene.database.url, name: 'moca:test' })
  t.after(() => database.close())
  return new RowReader(database, defineDoctype(options) as SearchedDoctype)
}

test('documents are named as capture names them, whatever time zone and formats the server prefers', async (t) => {
  const scene = await openScene(t)
  const { name } = scene.database
  await scene.database.query(`
alter database ${name} set timezone = 'Asia/Kolkata'; alter database ${name} set datestyle = 'German';
alter database ${name} set bytea_output = 'escape'; alter database ${name} set intervalstyle = 'iso_8601';
alter database ${name} set extra_float_digits = -3`)
  const doctype = defineDoctype({
    name: 'Reading',
    table: 'reading',
    key: ['at', 'day', 'sensor', 'every', 'level'],
    search: { searchable: ['note'], filterable: ['at'] },
  })
  const setUp = await scene.connect()
  await setUp.query(`
create table reading (at timestamptz, day date, sensor bytea, every interval, level float8, note text,
  primary key (at, day, sensor, every, level))`)
  const insert = (note: string) =>
    setUp.query(`insert into reading values (now(), '2026-11-27', '\\x00ff', '90 minutes', 1.0 / 3, $1)`, [note])
  await insert('before')
  await capture(scene, doctype)
  const index = openIndex(t, scene, { doctype })
  startSync(t, [index])
  await waitUntilLive(index)
  await insert('after')
  await setUp.query("update reading set note = 'changed' where note = 'before'")
  await waitFor(async () => (await idsOf(index, 'changed')).length === 1, { describe: 'the changed one to be found' })
  await waitFor(async () => (await idsOf(index, 'after')).length === 1, { describe: 'the new one to be found' })
  assert.equal((await idsOf(index, '')).length, 2)
  assert.deepEqual(await differencesOf(index), SAME)
})

test('a name that can be no key of the table, and a key whose column gets another type, stop nothing', async (t) => {
  const scene = await openScene(t)
  const doctype = defineDoctype({ name: 'City', table: 'city', key: 'id', search: { searchable: ['name'] } })
  await scene.database.query('create table city (id int primary key, name text)')
  await capture(scene, doctype)
  const index = openIndex(t, scene, { doctype })
  startSync(t, [index])
  await waitUntilLive(index)
  const record = (docname: string) =>
    scene.database.query('select moca.record($1)', [
      JSON.stringify({
        topic: 'moca.doc.events',
        event_type: 'City.updated',
        action: 'updated',
        doctype: 'City',
        docname,
      }),
    ])
  await record('abc')
  await record('99999999999')
  await scene.database.query("insert into city values (1, 'Bern')")
  await waitFor(async () => (await idsOf(index, 'bern')).length === 1, { describe: 'Bern to be found' })
  await scene.database.query("alter table city alter id type bigint; insert into city values (3000000000, 'Basel')")
  await waitFor(async () => (await idsOf(index, 'basel')).join() === '3000000000', { describe: 'Basel to be found' })
  await scene.database.query(
    "alter table city alter id type uuid using lpad(id::text, 32, '0')::uuid; update city set name = 'Bienne' where name = 'Bern'",
  )
  await waitFor(async () => (await idsOf(index, 'bienne')).length === 1, { describe: 'Bienne to be found' })
})

test('finds what embeds documents, in chunks, and among names that are no values of the column', async (t) => {
  const scene = await openScene(t)
  await scene.database.query(`
create table book (id int primary key, author_id bigint);
insert into book select n, n % 5000 from generate_series(1, 20000) n;
create index on book (author_id); analyze book`)
  const reader = readerOf(t, scene, { name: 'Book', table: 'book', key: 'id', search: { searchable: ['id'] } })
  const found = async (names: readonly string[], limit: number) => {
    const chunks: string[][] = []
    for await (const chunk of reader.findEmbedding({ column: 'author_id' }, names, limit)) chunks.push(chunk)
    return chunks
  }
  assert.deepEqual(await found(['7'], 3), [['7', '5007', '10007'], ['15007']])
  assert.deepEqual(await found(['["x","y"]', '7', 'abc'], 10), [['7', '5007', '10007', '15007']])
})
