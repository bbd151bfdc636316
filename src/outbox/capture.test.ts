import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { Client } from 'pg'
import { type OutboxScene, outboxScenes } from '../../test/support/outbox-scene.ts'
import { waitFor } from '../../test/support/wait-for.ts'
import { defineDoctype, type DoctypeOptions } from '../doctype/doctype.ts'
import { ConfigError, SqlError } from '../errors.ts'
import { Capture } from './capture.ts'

const openScene = outboxScenes()

interface Change {
  readonly action: string
  readonly docname: string
  readonly data: Record<string, unknown> | null
  readonly prev_data: Record<string, unknown> | null
  readonly site: string | null
  readonly user: string | null
  readonly request_id: string | null
}

/** A captured table, and what was recorded of it. */
class CaptureScene {
  readonly scene: OutboxScene
  readonly capture: Capture
  readonly #test: TestContext
  #seen = 0

  static async open(t: TestContext, tables: string, ...doctypes: DoctypeOptions[]): Promise<CaptureScene> {
    const scene = await openScene(t)
    await scene.database.query(tables)
    const captured = new CaptureScene(t, scene, new Capture(await scene.connect(), 'moca'))
    for (const doctype of doctypes) {
      assert.equal((await captured.capture.install(defineDoctype(doctype))).did, 'installed')
    }
    return captured
  }

  private constructor(t: TestContext, scene: OutboxScene, capture: Capture) {
    this.#test = t
    this.scene = scene
    this.capture = capture
  }

  /** Runs statements and tells what they recorded, by document. */
  async changesOf(...statements: string[]): Promise<Change[]> {
    for (const statement of statements) await this.scene.database.query(statement)
    return this.changes()
  }

  /** What was recorded since the last look, by document and in order of its changes. */
  async changes(): Promise<Change[]> {
    const rows = await this.scene.database.query<{
      seq: string
      topic: string
      type: string
      key: string
      payload: string
    }>('select * from moca.outbox where seq > $1 order by key, seq', [this.#seen])
    this.#seen = Math.max(this.#seen, ...rows.map(({ seq }) => Number(seq)))
    return rows.map(({ topic, type, key, payload }) => {
      const { action, doctype, docname, site, data, prev_data, user, request_id, event_type } = JSON.parse(payload)
      assert.equal(topic, 'moca.doc.events')
      assert.equal(type, `${doctype}.${action}`)
      assert.equal(event_type, type)
      assert.equal(key, `${site ?? ''}:${doctype}:${docname}`)
      return { action, docname, site, data, prev_data, user, request_id }
    })
  }

  /** A session that ends with the test. */
  async session(): Promise<Client> {
    const client = new Client({ connectionString: this.scene.database.url })
    client.on('error', () => {}) // at the end of the test the database is dropped under it
    await client.connect()
    this.#test.after(() => client.end())
    return client
  }
}

function brief(changes: readonly Change[]): string[] {
  return changes.map(({ action, docname }) => `${docname} ${action}`)
}

const CITY = { name: 'City', table: 'city', key: 'id' } as const
const CITY_TABLE = 'create table city (id integer primary key, name text, population bigint)'

test('records what was created, updated and deleted, with the rows', async (t) => {
  const city = await CaptureScene.open(t, CITY_TABLE, CITY)
  const bern = { id: 1, name: 'Bern', population: 134_000 }
  const common = { docname: '1', site: null, user: null, request_id: null }
  assert.deepEqual(await city.changesOf(`insert into city values (1, 'Bern', 134000)`), [
    { ...common, action: 'created', data: bern, prev_data: null },
  ])
  assert.deepEqual(await city.changesOf('update city set population = 5 where id = 1'), [
    { ...common, action: 'updated', data: { ...bern, population: 5 }, prev_data: bern },
  ])
  assert.deepEqual(await city.changesOf('delete from city'), [
    { ...common, action: 'deleted', data: null, prev_data: { ...bern, population: 5 } },
  ])
})

test('records nothing of a statement that changed nothing', async (t) => {
  const city = await CaptureScene.open(t, CITY_TABLE, CITY)
  await city.changesOf(`insert into city values (1, 'Bern', 1), (2, 'Basel', 2)`)
  const changes = await city.changesOf(
    'update city set name = name',
    'update city set population = 5 where id = 77',
    'delete from city where id = 77',
    'insert into city select * from city where false',
  )
  assert.deepEqual(changes, [])
  assert.deepEqual(brief(await city.changesOf('update city set population = 2')), ['1 updated'])
})

test('a changed key is one document deleted and another created; swapped keys are two updated ones', async (t) => {
  const city = await CaptureScene.open(t, 'create table city (id integer primary key deferrable, name text)', CITY)
  await city.changesOf(`insert into city values (1, 'Bern'), (2, 'Basel')`)
  assert.deepEqual(brief(await city.changesOf('update city set id = 3 where id = 2')), ['2 deleted', '3 created'])
  const swapped = await city.changesOf('update city set id = 4 - id')
  assert.deepEqual(
    swapped.map(({ action, docname, data, prev_data }) => [action, docname, data?.name, prev_data?.name]),
    [
      ['updated', '1', 'Basel', 'Bern'],
      ['updated', '3', 'Bern', 'Basel'],
    ],
  )
  assert.deepEqual(brief(await city.changesOf('update city set id = id + 2')), ['1 deleted', '3 updated', '5 created'])
})

test('records upserts, COPY, writable queries and several statements of a transaction', async (t) => {
  const city = await CaptureScene.open(t, CITY_TABLE, CITY)
  await city.changesOf(`insert into city values (1, 'Bern', 1)`)
  const upsert = `insert into city values (1, 'Bern', 2), (2, 'Basel', 2)
    on conflict (id) do update set population = excluded.population`
  assert.deepEqual(brief(await city.changesOf(upsert)), ['1 updated', '2 created'])
  assert.deepEqual(brief(await city.changesOf(upsert)), [])
  const nothing = `insert into city values (1, 'x', 1) on conflict do nothing`
  assert.deepEqual(brief(await city.changesOf(nothing)), [])
  const file = `copy (select 3, 'Chur', 3) to '/dev/null'`
  await city.scene.database.query(file)
  assert.deepEqual(brief(await city.changesOf(`copy city from program 'printf "3\\tChur\\t3\\n4\\tZug\\t4\\n"'`)), [
    '3 created',
    '4 created',
  ])
  const moved = `with gone as (delete from city where id >= 3 returning *)
    insert into city select id + 10, name, population from gone`
  assert.deepEqual(brief(await city.changesOf(moved)), ['13 created', '14 created', '3 deleted', '4 deleted'])
  const both = `begin; insert into city values (5, 'Brig', 1); update city set name = 'Visp' where id = 5; delete from city where id = 5; commit`
  assert.deepEqual(brief(await city.changesOf(both)), ['5 created', '5 updated', '5 deleted'])
  assert.deepEqual(await city.changesOf(`begin; delete from city; rollback`), [])
})

test('records MERGE', async (t) => {
  const city = await CaptureScene.open(t, CITY_TABLE, CITY)
  const [server] = await city.scene.database.query<{ version: number }>(
    `select current_setting('server_version_num')::integer as version`,
  )
  if ((server?.version ?? 0) < 150_000) return t.skip('PostgreSQL has MERGE since 15')
  await city.changesOf(`insert into city values (1, 'Bern', 1), (2, 'Basel', 2)`)
  const merge = `merge into city using (values (1, 10), (2, null), (3, 30)) as given (id, population) on city.id = given.id
    when matched and given.population is null then delete
    when matched then update set population = given.population
    when not matched then insert values (given.id, 'Chur', given.population)`
  assert.deepEqual(brief(await city.changesOf(merge)), ['1 updated', '2 deleted', '3 created'])
})

test('TRUNCATE deletes each document, in the order of what was recorded before', async (t) => {
  const city = await CaptureScene.open(
    t,
    `${CITY_TABLE}; create table street (id integer primary key, city integer references city)`,
    CITY,
    { name: 'Street', table: 'street', key: 'id' },
  )
  await city.changesOf(`insert into city values (1, 'Bern', 1), (2, 'Basel', 2); insert into street values (7, 1)`)
  const changes = await city.changesOf(
    `begin; update city set population = 9 where id = 1; truncate city cascade; commit`,
  )
  assert.deepEqual(brief(changes), ['1 updated', '1 deleted', '2 deleted', '7 deleted'])
  assert.deepEqual(changes[1]?.prev_data, { id: 1, name: 'Bern', population: 9 })
  assert.deepEqual(await city.changesOf('truncate city cascade'), [])
  const refused = city.scene.database.query('begin isolation level repeatable read; truncate city cascade; commit')
  await assert.rejects(refused, {
    code: 'MO001',
    message: /TRUNCATE of (public\.)?\w+.* needs the isolation level read committed/,
  })
})

test('draws the transaction id of a TRUNCATE before the first seq', async (t) => {
  const city = await CaptureScene.open(t, CITY_TABLE, CITY)
  await city.changesOf(`insert into city values (1, 'Bern', 1)`)
  const session = await city.session()
  await session.query('begin')
  await session.query('truncate city')
  const [row] = (await session.query('select pg_current_xact_id_if_assigned()::text as xid')).rows
  await session.query('commit')
  const [recorded] = await city.scene.database.query<{ xid: string }>(
    'select xid::text from moca.outbox order by seq desc limit 1',
  )
  assert.equal(recorded?.xid, row.xid)
})

test('records what foreign keys do to other tables', async (t) => {
  const city = await CaptureScene.open(
    t,
    `create table country (id integer primary key);
     create table city (id integer primary key, country integer references country on delete cascade);
     create table mayor (id integer primary key, city integer references city on delete set null)`,
    CITY,
    { name: 'Mayor', table: 'mayor', key: 'id' },
  )
  await city.changesOf(
    'insert into country values (1), (2), (3)',
    'insert into city select n, n from generate_series(1, 3) n',
    'insert into mayor select n, n from generate_series(1, 3) n',
  )
  const changes = await city.changesOf('delete from country where id < 3')
  assert.deepEqual(
    changes.map(({ action, docname, prev_data }) => `${docname} ${action} ${Object.keys(prev_data ?? {}).join()}`),
    ['1 deleted id,country', '2 deleted id,country', '1 updated id,city', '2 updated id,city'],
  )
})

test('several columns make a key whose parts can be told apart', async (t) => {
  const price = await CaptureScene.open(
    t,
    'create table price (shop text, article bigint, amount numeric, primary key (article, shop))',
    { name: 'Price', table: 'price', key: ['shop', 'article'] },
  )
  const changes = await price.changesOf(`insert into price values ('a", "b', 9007199254740993, 1.50), ('a', 7, 2)`)
  assert.deepEqual(
    changes.map(({ docname }) => JSON.parse(docname)),
    [
      ['a', '7'],
      ['a", "b', '9007199254740993'],
    ],
  )
  assert.deepEqual(brief(await price.changesOf(`update price set amount = amount + 1 where shop = 'a'`)), [
    '["a", "7"] updated',
  ])
  // As it was written, to the last digit.
  const [row] = await price.scene.database.query<{ payload: string }>('select payload from moca.outbox where seq <= 2')
  assert.match(row?.payload ?? '', /"data":\{"shop":"a\\", \\"b","article":9007199254740993,"amount":1\.50\}/)
})

test('the site comes from a column, and a document that moves to another is deleted there', async (t) => {
  const city = await CaptureScene.open(t, 'create table city (id integer primary key, tenant text, name text)', {
    ...CITY,
    site: 'tenant',
  })
  const created = await city.changesOf(`insert into city values (1, 'acme', 'Bern'), (2, null, 'Basel')`)
  assert.deepEqual(
    created.map(({ site }) => site),
    [null, 'acme'],
  )
  const moved = await city.changesOf(`update city set tenant = 'other'`)
  assert.deepEqual(
    moved.map(({ action, docname, site }) => [action, docname, site]),
    [
      ['deleted', '2', null],
      ['deleted', '1', 'acme'],
      ['created', '1', 'other'],
      ['created', '2', 'other'],
    ],
  )
})

test('site, user and request come from the settings of the transaction', async (t) => {
  const city = await CaptureScene.open(t, CITY_TABLE, CITY)
  const session = await city.session()
  const settings = `select set_config('moca.site', 'acme', true), set_config('moca.user', 'ada', true),
    set_config('moca.request_id', 'r-1', true)`
  for (const statement of [
    `insert into city values (1, 'Bern', 1)`,
    'update city set population = 2',
    'delete from city',
    `insert into city values (2, 'Basel', 2)`,
    'truncate city',
  ]) {
    await session.query('begin')
    await session.query(settings)
    await session.query(statement)
    await session.query('commit')
    for (const { site, user, request_id } of await city.changes()) {
      assert.deepEqual([site, user, request_id], ['acme', 'ada', 'r-1'], statement)
    }
  }
  const [later] = await city.changesOf(`insert into city values (3, 'Chur', 3)`)
  assert.deepEqual([later?.site, later?.user, later?.request_id], [null, null, null])
})

test('columns that are left out are not recorded, and a change of nothing else is none', async (t) => {
  const city = await CaptureScene.open(
    t,
    'create table city (id integer primary key, name text, "big body" text, exact numeric)',
    { ...CITY, omit: ['big body'] },
  )
  const [created] = await city.changesOf(`insert into city values (1, 'Bern', 'secret', 123456789012345678.10)`)
  assert.deepEqual(created?.data, { id: 1, name: 'Bern', exact: Number('123456789012345678.1') })
  assert.deepEqual(await city.changesOf(`update city set "big body" = 'other'`), [])
  const [updated] = await city.changesOf(`update city set "big body" = 'x', name = 'Berne'`)
  assert.deepEqual(updated?.prev_data, { id: 1, name: 'Bern', exact: Number('123456789012345678.1') })
  const rows = await city.scene.database.query<{ payload: string }>('select payload from moca.outbox')
  for (const { payload } of rows) {
    assert.doesNotMatch(payload, /big body/)
    assert.match(payload, /"exact": 123456789012345678\.10/)
  }
})

test('names are taken as they are written, and mean nothing to SQL', async (t) => {
  const tricky = `Ci"ty 'x' %I $1 \\ ü`
  const quote = (name: string) => `"${name.replaceAll('"', '""')}"`
  const columns = [`I"d`, `Na'me %s`, 'select', 'moca_row', 'moca_user', 'docname', 'r', 'row_to_json'].map(quote)
  const city = await CaptureScene.open(
    t,
    `create schema ${quote(`Ge"o`)}; create table ${quote(`Ge"o`)}.${quote(tricky)} (${columns.map((column) => `${column} text`).join(', ')}, primary key (${columns[0]}, ${columns[2]}))`,
    { name: 'Tricky-1', table: [`Ge"o`, tricky], key: [`I"d`, 'select'], site: 'docname', omit: ['moca_user'] },
  )
  const table = `${quote(`Ge"o`)}.${quote(tricky)}`
  const [created] = await city.changesOf(`insert into ${table} values ('i', 'n', 's', 'w', 'u', 'd', 'r', 'j')`)
  assert.deepEqual(created?.data, {
    'I"d': 'i',
    "Na'me %s": 'n',
    select: 's',
    moca_row: 'w',
    docname: 'd',
    r: 'r',
    row_to_json: 'j',
  })
  assert.equal(created?.site, 'd')
  assert.deepEqual(brief(await city.changesOf(`update ${table} set r = 'x'`, `truncate ${table}`)), [
    '["i", "s"] updated',
    '["i", "s"] deleted',
  ])
})

test('the text of a key does not depend on the settings of the session', async (t) => {
  const slot = await CaptureScene.open(
    t,
    'create table slot (at timestamptz primary key, took interval, share float8, mark bytea)',
    { name: 'Slot', table: 'slot', key: 'at' },
  )
  const session = await slot.session()
  await session.query(`set timezone = 'Asia/Tokyo'; set datestyle = 'German'; set intervalstyle = 'iso_8601';
    set extra_float_digits = -5; set bytea_output = 'escape'; set search_path = nowhere`)
  await session.query(`insert into public.slot values ('2026-01-31 09:00+09', '1 day 2 hours', 0.1::float8 + 0.2, 'a')`)
  const [created] = await slot.changes()
  assert.equal(created?.docname, '2026-01-31 00:00:00+00')
  assert.deepEqual(created?.data, {
    at: '2026-01-31T00:00:00+00:00',
    took: '1 day 02:00:00',
    share: 0.30000000000000004,
    mark: '\\x61',
  })
  // The session has its own again.
  assert.equal((await session.query('show timezone')).rows[0].TimeZone, 'Asia/Tokyo')
})

test('columns that come and go later need no new triggers', async (t) => {
  const city = await CaptureScene.open(t, CITY_TABLE, CITY)
  const session = await city.session() // with plans made before
  await session.query(`insert into city values (1, 'Bern', 1)`)
  await session.query('alter table city add column mayor text; alter table city drop column name')
  await session.query(`update city set mayor = 'Ada'`)
  const changes = await city.changes()
  assert.deepEqual(changes[1]?.data, { id: 1, population: 1, mayor: 'Ada' })
  await session.query('alter table city rename population to people')
  await session.query('update city set people = 2')
  assert.deepEqual((await city.changes())[0]?.data, { id: 1, people: 2, mayor: 'Ada' })
  assert.equal((await city.capture.show(defineDoctype(CITY))).status, 'current')
})

test('generated columns, and a hundred columns, are recorded like others', async (t) => {
  const wide = Array.from({ length: 100 }, (_, n) => `c${n} integer default ${n}`).join(', ')
  const city = await CaptureScene.open(
    t,
    `create table city (id integer primary key, doubled integer generated always as (id * 2) stored, ${wide})`,
    CITY,
  )
  const [created] = await city.changesOf('insert into city (id) values (21)')
  assert.equal(Object.keys(created?.data ?? {}).length, 102)
  assert.equal(created?.data?.doubled, 42)
  assert.equal(created?.data?.c99, 99)
  const [updated] = await city.changesOf('update city set c50 = 0')
  assert.deepEqual([updated?.prev_data?.c50, updated?.data?.c50], [50, 0])
})

test('fires whatever the session says of triggers', async (t) => {
  const city = await CaptureScene.open(t, CITY_TABLE, CITY)
  for (const role of ['replica', 'local']) {
    const changes = await city.changesOf(
      `set session_replication_role = ${role}; insert into city values (1, 'Bern', 1); update city set name = 'x'; truncate city`,
    )
    assert.deepEqual(brief(changes), ['1 created', '1 updated', '1 deleted'])
  }
})

test('whoever may write to the table needs no right of Moca', async (t) => {
  const city = await CaptureScene.open(t, CITY_TABLE, CITY)
  const { database, server } = city.scene
  const role = `writer_${database.name}`
  await database.query(`create role ${role} login; grant insert, update, delete, truncate, select on city to ${role}`)
  const writer = new Client({ connectionString: server.urlOf(database.name, role) })
  await writer.connect()
  try {
    // A table of its own by the name of one of Moca's.
    await writer.query('create temp table deployment (max_bytes integer)')
    await writer.query(`insert into city values (1, 'Bern', 1); update city set name = 'x'; truncate city`)
  } finally {
    await writer.end()
    await database.query(`drop owned by ${role}; drop role ${role}`)
  }
  assert.deepEqual(brief(await city.changes()), ['1 created', '1 updated', '1 deleted'])
})

test('a row above the limit fails its statement, and the error says what to do', async (t) => {
  const city = await CaptureScene.open(t, 'create table city (id integer primary key, name text, body text)', CITY)
  await city.scene.database.query('update moca.deployment set max_bytes = 1000')
  await city.changesOf(`insert into city values (1, 'Bern', 'short')`)
  for (const statement of [
    `update city set body = repeat('x', 700)`,
    `insert into city select n, 'n', repeat('ü', n * 100) from generate_series(2, 9) n`,
  ]) {
    await assert.rejects(city.scene.database.query(statement), (error: Error & Record<string, string>) => {
      assert.equal(error.code, 'MO001')
      assert.match(
        error.message,
        /City \d \((updated|created)\): the event has \d+ bytes; the limit is 1000\. The largest column is body with/,
      )
      assert.match(error.hint ?? '', /omit of the doctype, e\.g\. "body".*outbox\.maxBytes/)
      const { column, doctype, limit } = JSON.parse(error.detail ?? '')
      assert.deepEqual({ column, doctype, limit }, { column: 'body', doctype: 'City', limit: 1_000 })
      return true
    })
  }
  assert.deepEqual(await city.changes(), [])
  assert.deepEqual(await city.scene.database.query('select id from city'), [{ id: 1 }])
})

test('a document without a key, or with one that is too long, fails its statement', async (t) => {
  const city = await CaptureScene.open(t, 'create table city (id text not null unique, name text)', CITY)
  await assert.rejects(city.scene.database.query(`insert into city values (repeat('x', 495))`), {
    code: 'MO001',
    message: /site, doctype and key have 501 characters together/,
  })
  await city.changesOf(`insert into city values (repeat('x', 494))`)
  await city.scene.database.query('alter table city alter column id drop not null')
  for (const statement of ['insert into city values (null)', 'update city set id = null']) {
    await assert.rejects(city.scene.database.query(statement), {
      code: 'MO001',
      message: /a column of its key is null/,
    })
  }
})

const PARTITIONED = `create table reading (id integer, at date, value integer, primary key (id, at)) partition by range (at);
  create table reading_2025 partition of reading for values from ('2025-01-01') to ('2026-01-01');
  create table reading_2026 (value integer, at date not null, id integer not null);
  alter table reading attach partition reading_2026 for values from ('2026-01-01') to ('2027-01-01')`
const READING = { name: 'Reading', table: 'reading', key: 'id' } as const

test('records each change of a partitioned table once, by whatever name it was written', async (t) => {
  const reading = await CaptureScene.open(t, PARTITIONED, READING)
  assert.deepEqual(
    brief(await reading.changesOf(`insert into reading values (1, '2025-05-05', 1), (2, '2026-05-05', 2)`)),
    ['1 created', '2 created'],
  )
  const direct = await reading.changesOf(
    `insert into reading_2026 (id, at, value) values (3, '2026-06-06', 3)`,
    `update reading_2026 set value = 4 where id = 3`,
  )
  assert.deepEqual(brief(direct), ['3 created', '3 updated'])
  assert.deepEqual(direct[1]?.data, { id: 3, at: '2026-06-06', value: 4 })
  // To another partition: one document, changed.
  const moved = await reading.changesOf(`update reading set at = '2026-01-01' where id = 1`)
  assert.deepEqual(
    moved.map(({ action, prev_data, data }) => [action, prev_data?.at, data?.at]),
    [['updated', '2025-05-05', '2026-01-01']],
  )
  assert.deepEqual(brief(await reading.changesOf('delete from reading_2026 where id = 1')), ['1 deleted'])
  assert.deepEqual(brief(await reading.changesOf('truncate reading')), ['2 deleted', '3 deleted'])
  await reading.changesOf(`insert into reading values (1, '2025-05-05', 1), (2, '2026-05-05', 2)`)
  assert.deepEqual(brief(await reading.changesOf('truncate reading_2025')), ['1 deleted'])
})

test('a partition that is added later is named, and nothing that goes through the table is missed meanwhile', async (t) => {
  const reading = await CaptureScene.open(t, PARTITIONED, READING)
  const doctype = defineDoctype(READING)
  await reading.changesOf(
    `create table reading_2027 partition of reading for values from ('2027-01-01') to ('2028-01-01')`,
  )
  const { status, tables } = await reading.capture.show(doctype)
  assert.equal(status, 'outdated')
  assert.deepEqual(
    tables.filter((table) => table.status !== 'current'),
    [{ table: 'public.reading_2027', status: 'missing' }],
  )
  const through = await reading.changesOf(
    `insert into reading values (1, '2027-05-05', 1), (2, '2025-05-05', 2)`,
    'truncate reading',
  )
  assert.deepEqual(brief(through), ['1 created', '1 deleted', '2 created', '2 deleted'])
  assert.deepEqual(await reading.changesOf(`insert into reading_2027 values (3, '2027-05-05', 1)`), [])
  assert.equal((await reading.capture.install(doctype)).did, 'replaced')
  assert.equal((await reading.capture.show(doctype)).status, 'current')
  assert.deepEqual(brief(await reading.changesOf(`update reading_2027 set value = 4`, 'truncate reading')), [
    '3 updated',
    '3 deleted',
  ])
})

test('installing again changes nothing, and another definition replaces the older one', async (t) => {
  const city = await CaptureScene.open(t, `${CITY_TABLE}; create table town (id integer primary key, name text)`, CITY)
  const doctype = defineDoctype(CITY)
  const functionId = () =>
    city.scene.database.query(`select oid, xmin::text from pg_proc where proname = 'capture_City'`)
  const before = await functionId()
  const again = await city.capture.install(doctype)
  assert.deepEqual(again, {
    doctype: 'City',
    did: 'nothing',
    table: 'public.city',
    status: 'current',
    tables: [{ table: 'public.city', status: 'current' }],
    elsewhere: [],
  })
  assert.deepEqual(await functionId(), before)

  const narrower = defineDoctype({ ...CITY, omit: ['name'] })
  assert.equal((await city.capture.show(narrower)).status, 'outdated')
  assert.equal((await city.capture.install(narrower)).did, 'replaced')
  const [created] = await city.changesOf(`insert into city values (1, 'Bern', 1)`)
  assert.deepEqual(created?.data, { id: 1, population: 1 })

  // To another table: the first one is let go.
  const moved = defineDoctype({ ...CITY, table: 'town' })
  assert.deepEqual((await city.capture.show(moved)).elsewhere, ['public.city'])
  assert.equal((await city.capture.install(moved)).did, 'replaced')
  assert.deepEqual(
    brief(await city.changesOf(`insert into city values (2, 'Basel', 1)`, `insert into town values (7, 'Zug')`)),
    ['7 created'],
  )
  assert.deepEqual(await city.capture.list(), ['City'])
})

test('processes that install at once install once', async (t) => {
  const city = await CaptureScene.open(t, CITY_TABLE)
  const installing = Array.from({ length: 4 }, async () => {
    const { did } = await new Capture(await city.scene.connect(), 'moca').install(defineDoctype(CITY))
    return did
  })
  assert.deepEqual((await Promise.all(installing)).toSorted(), ['installed', 'nothing', 'nothing', 'nothing'])
})

test('tells triggers that were switched off, dropped or changed, and puts them right', async (t) => {
  const city = await CaptureScene.open(t, CITY_TABLE, CITY)
  const doctype = defineDoctype(CITY)
  for (const damage of [
    'alter table city disable trigger moca_capture_update',
    'alter table city enable trigger moca_capture_update',
    'drop trigger moca_capture_truncate on city',
    `create or replace function moca."capture_City"() returns trigger language plpgsql as 'begin return null; end'`,
  ]) {
    await city.scene.database.query(damage)
    assert.equal((await city.capture.show(doctype)).status, 'outdated', damage)
    assert.equal((await city.capture.install(doctype)).did, 'replaced', damage)
    assert.equal((await city.capture.show(doctype)).status, 'current', damage)
  }
  assert.deepEqual(
    brief(await city.changesOf(`insert into city values (1, 'Bern', 1); update city set name = 'x'; truncate city`)),
    ['1 created', '1 updated', '1 deleted'],
  )
})

test('removes what it installed, also when the table is gone', async (t) => {
  const city = await CaptureScene.open(t, `${CITY_TABLE}; create table town (id integer primary key)`, CITY, {
    name: 'Town',
    table: 'town',
    key: 'id',
  })
  assert.deepEqual(await city.capture.list(), ['City', 'Town'])
  assert.deepEqual(await city.capture.remove('City'), { doctype: 'City', did: 'removed', tables: ['public.city'] })
  assert.deepEqual(await city.capture.remove('City'), { doctype: 'City', did: 'nothing', tables: [] })
  assert.deepEqual(await city.changesOf(`insert into city values (1, 'Bern', 1)`), [])
  assert.equal((await city.capture.show(defineDoctype(CITY))).status, 'missing')
  await city.scene.database.query('drop table town')
  const town = await city.capture.show(defineDoctype({ name: 'Town', table: 'town', key: 'id' }))
  assert.deepEqual([town.table, town.status], [undefined, 'missing'])
  assert.deepEqual(await city.capture.remove('Town'), { doctype: 'Town', did: 'removed', tables: [] })
  assert.deepEqual(await city.capture.list(), [])
})

test('a column that PostgreSQL computes when it is read must be left out', async (t) => {
  const city = await CaptureScene.open(t, CITY_TABLE, CITY)
  const [server] = await city.scene.database.query<{ version: number }>(
    `select current_setting('server_version_num')::int as version`,
  )
  const virtual = 'alter table city add column twice bigint generated always as (population * 2) virtual'
  if ((server?.version ?? 0) < 180_000) {
    await assert.rejects(city.scene.database.query(virtual), { code: '42601' }) // none has it
    return
  }
  await city.scene.database.query(virtual)
  assert.equal((await city.capture.show(defineDoctype(CITY))).status, 'outdated')
  await assert.rejects(city.capture.install(defineDoctype(CITY)), {
    code: 'config_invalid',
    message: /column twice of public\.city is generated when it is read.*omit: \["twice"\]/,
  })
  const fitting = defineDoctype({ ...CITY, omit: ['twice'] })
  await city.capture.install(fitting)
  assert.equal((await city.capture.show(fitting)).status, 'current')
  const [created] = await city.changesOf(`insert into city values (1, 'Bern', 5)`)
  assert.deepEqual(created?.data, { id: 1, name: 'Bern', population: 5 })
})

const UNFIT: readonly [name: string, tables: string, doctype: Partial<DoctypeOptions>, message: RegExp][] = [
  ['no table', '', {}, /Doctype City: there is no table public\.city\. Names are taken as they are written/],
  ['another case', 'create table city (id integer primary key)', { table: 'City' }, /there is no table public\."City"/],
  ['a view', 'create view city as select 1 as id', {}, /public\.city is no table/],
  ['a missing column', 'create table city (id integer primary key)', { omit: ['body'] }, /has no column "body"/],
  ['a missing site', 'create table city (id integer primary key)', { site: 'Tenant' }, /has no column "Tenant"/],
  [
    'a key that may be null',
    'create table city (id integer unique)',
    {},
    /key column id of public\.city may be null.* set not null/,
  ],
  ['a key that is not unique', 'create table city (id integer not null)', {}, /no unique index of public\.city says/],
  [
    'a key that is unique for some rows',
    'create table city (id integer not null, ok boolean); create unique index on city (id) where ok',
    {},
    /no unique index/,
  ],
  [
    'a key that is only a part of a unique one',
    'create table city (id integer, part integer, primary key (id, part))',
    {},
    /no unique index/,
  ],
  [
    'a partition',
    'create table world (id integer) partition by list (id); create table city partition of world (id not null, unique (id)) default',
    {},
    /public\.city is a part of (public\.)?world\. Capture (public\.)?world/,
  ],
  [
    'a parent by inheritance',
    'create table city (id integer primary key); create table town () inherits (city)',
    {},
    /is inherited by (public\.)?town/,
  ],
  ['a table of Moca', '', { table: 'moca.relay' }, /moca\.relay belongs to Moca/],
]

test('refuses a table that cannot be captured so, and says why', async (t) => {
  for (const [name, tables, options, message] of UNFIT) {
    await t.test(name, async (t) => {
      const { capture } = await CaptureScene.open(t, tables)
      await assert.rejects(capture.install(defineDoctype({ ...CITY, ...options })), (error) => {
        assert.ok(error instanceof ConfigError)
        assert.match(error.message, message)
        assert.deepEqual(error.facts, { doctype: 'City' })
        return true
      })
      assert.deepEqual(await capture.list(), [])
    })
  }
})

test('a table belongs to one doctype', async (t) => {
  const city = await CaptureScene.open(t, CITY_TABLE, CITY)
  const town = city.capture.install(defineDoctype({ ...CITY, name: 'Town' }))
  await assert.rejects(town, /Doctype Town: (public\.)?city is captured for doctype City\..* Remove/)
})

test('gives up on a table that others hold, without holding up new writers for longer', async (t) => {
  const city = await CaptureScene.open(t, CITY_TABLE)
  const session = await city.session()
  await session.query(`begin; insert into city values (1, 'Bern', 1)`)
  const connection = await city.scene.connect()
  await connection.run(`alter function moca.install_capture(json) set lock_timeout = '100ms'`)
  await assert.rejects(city.capture.install(defineDoctype(CITY)), (error) => {
    assert.ok(error instanceof SqlError && error.sqlState === '55P03' && error.retryable)
    return true
  })
  await session.query('commit')
  assert.equal((await city.capture.install(defineDoctype(CITY))).did, 'installed')
})

test('transactions that write to one document record in the order of their commits', async (t) => {
  const city = await CaptureScene.open(t, CITY_TABLE, CITY)
  await city.changesOf(`insert into city values (1, 'Bern', 0)`)
  const [first, second] = [await city.session(), await city.session()]
  await first.query('begin')
  await second.query('begin')
  await first.query('update city set population = 1')
  const [backend] = (await second.query('select pg_backend_pid() as pid')).rows
  const waiting = second.query('update city set population = 2')
  const isWaiting = async () =>
    (
      await city.scene.database.query(`select from pg_stat_activity where pid = $1 and wait_event_type = 'Lock'`, [
        backend.pid,
      ])
    ).length === 1
  await waitFor(isWaiting, { describe: 'the second transaction to wait for the row' })
  await first.query('commit')
  await waiting
  await second.query('commit')
  const changes = await city.changes()
  assert.deepEqual(
    changes.map(({ data }) => data?.population),
    [1, 2],
  )
})
