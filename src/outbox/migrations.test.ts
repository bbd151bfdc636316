import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type PostgresServer, startPostgres, type TestDatabase } from '../../test/support/postgres-server.ts'
import { AccessError, SchemaError, SqlError } from '../errors.ts'
import { Database } from '../postgres/database.ts'
import { findPending, loadMigrations, migrate, type MigrateOptions, requireSchema, writeScript } from './migrations.ts'

let postgres: PostgresServer
before(async () => {
  postgres = await startPostgres()
})
after(() => postgres.stop())

const OPTIONS: MigrateOptions = { schema: 'moca', namespace: 'shop', maxBytes: 1_000_000 }
const ALL = loadMigrations('moca').map(({ number }) => number)

type Scope = { after: (undo: () => Promise<void>) => void }

/** A database of the test's own, and a way in. */
async function makeDatabase(test: Scope): Promise<{ server: TestDatabase; database: Database }> {
  const server = await postgres.createDatabase(test)
  return { server, database: openDatabase(test, server.url) }
}

function openDatabase(test: Scope, url: string): Database {
  const database = new Database({ url, name: 'moca:test', maxConnections: 1 })
  test.after(() => database.close())
  return database
}

const numbers = (migrations: readonly { number: number }[]) => migrations.map(({ number }) => number)

async function refusal(promise: Promise<unknown>): Promise<SchemaError> {
  const error = await promise.then(
    () => assert.fail('it was accepted'),
    (error: unknown) => error,
  )
  assert.ok(error instanceof SchemaError, String(error))
  return error
}

/** Everything that a schema consists of, as far as the catalogue tells, without what differs between two. */
function describeSchema(server: TestDatabase, schema: string): Promise<object[]> {
  return server.query(
    `select 'column' as what, table_name || '.' || column_name as name, concat_ws(' ', data_type, is_nullable, column_default) as text
     from information_schema.columns where table_schema = $1
     union all select 'function', proname, pg_get_functiondef(oid) || coalesce(proacl::text, '') from pg_proc where pronamespace = $1::regnamespace
     union all select 'index', indexname, indexdef from pg_indexes where schemaname = $1
     union all select 'trigger', tgname, pg_get_triggerdef(oid) from pg_trigger where tgrelid::regclass::text like $1 || '.%'
     order by 1, 2, 3`,
    [schema],
  )
}

test('migrations are numbered from 1 without a gap', () => {
  assert.deepEqual(
    ALL,
    Array.from({ length: ALL.length }, (_, index) => index + 1),
  )
  assert.ok(ALL.length > 0)
})

test('makes the schema, notes what was applied, and has nothing to do the next time', async (t) => {
  const { server, database } = await makeDatabase(t)
  assert.deepEqual(numbers(await migrate(database, OPTIONS)), ALL)
  const noted = await server.query<{ number: number; name: string; checksum: string }>(
    'select number, name, checksum from moca.migration order by number',
  )
  assert.deepEqual(
    noted,
    loadMigrations('moca').map(({ number, name, checksum }) => ({ number, name, checksum })),
  )
  const deployment = 'select namespace, max_bytes, log_id from moca.deployment'
  const [made] = await server.query<{ namespace: string; max_bytes: number }>(deployment)
  assert.deepEqual([made?.namespace, made?.max_bytes], ['shop', 1_000_000])
  assert.deepEqual(await migrate(database, OPTIONS), [])
  assert.deepEqual(await server.query(deployment), [made])
  await requireSchema(database, OPTIONS)
})

test('the log begins with the present partition and two ahead, also when some of them went meanwhile', async (t) => {
  const { server, database } = await makeDatabase(t)
  await migrate(database, OPTIONS)
  const attached = `select inhrelid::regclass::text as name from pg_inherits where inhparent = 'moca.outbox'::regclass order by 1`
  const names = ['moca.outbox_0', 'moca.outbox_1', 'moca.outbox_2'].map((name) => ({ name }))
  assert.deepEqual(await server.query(attached), names)
  await migrate(database, OPTIONS)
  assert.deepEqual(await server.query(attached), names)
  await server.query(`select setval('moca.outbox_seq', 100000000000, false)`)
  await migrate(database, OPTIONS)
  assert.deepEqual((await server.query(attached)).at(-1), { name: 'moca.outbox_3' })
})

test('a new limit takes effect', async (t) => {
  const { server, database } = await makeDatabase(t)
  await migrate(database, OPTIONS)
  await migrate(database, { ...OPTIONS, maxBytes: 5 })
  assert.deepEqual(await server.query('select max_bytes from moca.deployment'), [{ max_bytes: 5 }])
})

test('lives in a schema of any name, and nowhere else', async (t) => {
  const { server, database } = await makeDatabase(t)
  const options = { ...OPTIONS, schema: 'shop_moca' }
  await migrate(database, options)
  await requireSchema(database, options)
  assert.deepEqual(
    await server.query(`select nspname from pg_namespace where nspname !~ '^(pg_|information_schema$)' order by 1`),
    [{ nspname: 'public' }, { nspname: 'shop_moca' }],
  )
  assert.equal((await server.query(`select from pg_class where relnamespace = 'public'::regnamespace`)).length, 0)
})

test('processes that migrate at once apply each migration once', async (t) => {
  const { server } = await makeDatabase(t)
  const databases = Array.from({ length: 6 }, () => openDatabase(t, server.url))
  const applied = await Promise.all(databases.map((database) => migrate(database, OPTIONS)))
  assert.deepEqual(
    numbers(applied.flat()).toSorted((a, b) => a - b),
    ALL,
  )
  assert.equal((await server.query('select from moca.deployment')).length, 1)
  assert.equal((await server.query('select from moca.outbox_partition')).length, 3)
})

test('a migration that fails leaves nothing behind, and is applied when nothing is in its way any more', async (t) => {
  const { server, database } = await makeDatabase(t)
  await server.query('create schema moca; create table moca.outbox (name text)')
  const error = await migrate(database, OPTIONS).catch((error: unknown) => error)
  assert.ok(error instanceof SqlError)
  assert.match(
    error.message,
    /^Migration 1 \(log\) of schema moca failed, and nothing of it was kept: .*"outbox" already/,
  )
  assert.deepEqual(await server.query(`select tablename from pg_tables where schemaname = 'moca'`), [
    { tablename: 'outbox' },
  ])
  await server.query('drop table moca.outbox')
  assert.deepEqual(numbers(await migrate(database, OPTIONS)), ALL)
})

test('a role that may not make schemas can be given one', async (t) => {
  const { server } = await makeDatabase(t)
  await server.query('create role carla login')
  const database = openDatabase(t, postgres.urlOf(server.name, 'carla'))
  await assert.rejects(migrate(database, OPTIONS), AccessError)
  await server.query('create schema moca authorization carla')
  assert.deepEqual(numbers(await migrate(database, OPTIONS)), ALL)
})

test('tells a schema that is missing, older or not finished, and what to do', async (t) => {
  const { server, database } = await makeDatabase(t)
  const missing = await refusal(requireSchema(database, OPTIONS))
  assert.equal(missing.message, 'There is no schema moca of Moca in this database. Run moca migrate.')
  assert.deepEqual(missing.facts, { schema: 'moca', problem: 'missing' })
  await migrate(database, OPTIONS)
  await server.query('delete from moca.deployment')
  assert.match(
    (await refusal(requireSchema(database, OPTIONS))).message,
    /Schema moca was not finished\. Run moca migrate\./,
  )
  await server.query('delete from moca.migration where number = $1', [ALL.length])
  const older = await refusal(requireSchema(database, OPTIONS))
  assert.match(older.message, /is at migration \d+; this release needs \d+\. Run moca migrate\./)
  const { problem, found, expected } = older.facts
  assert.deepEqual([problem, found, expected], ['older', ALL.length - 1, ALL.length])
  assert.deepEqual(numbers(await findPending(database, OPTIONS)), [ALL.length])
})

const FOREIGN: [what: string, sql: string, problem: string, message: RegExp][] = [
  [
    'of a newer release',
    `insert into moca.migration values (99, 'later', now(), 'x')`,
    'newer',
    /is at migration 99; this release of Moca knows \d+\. It touches nothing\. Run a release that knows migration 99/,
  ],
  [
    'that was made from another text',
    `update moca.migration set checksum = 'x' where number = 1`,
    'changed',
    /Migration 1 \(log\) of schema moca was applied from another text/,
  ],
  [
    'of another namespace',
    `update moca.deployment set namespace = 'other'`,
    'foreign',
    /Schema moca belongs to namespace other, not to shop/,
  ],
]

for (const [what, sql, problem, message] of FOREIGN) {
  test(`refuses a schema ${what}, and changes nothing`, async (t) => {
    const { server, database } = await makeDatabase(t)
    await migrate(database, OPTIONS)
    await server.query(sql)
    for (const attempt of [
      () => requireSchema(database, OPTIONS),
      () => findPending(database, OPTIONS),
      () => migrate(database, { ...OPTIONS, maxBytes: 7 }),
    ]) {
      const error = await refusal(attempt())
      assert.match(error.message, message)
      assert.deepEqual([error.facts.problem, error.code, error.retryable], [problem, 'schema_unknown', false])
    }
    assert.deepEqual(await server.query('select max_bytes from moca.deployment'), [{ max_bytes: 1_000_000 }])
  })
}

test('what is printed for psql makes the same schema, of which the release then knows', async (t) => {
  const [one, two] = [await makeDatabase(t), await makeDatabase(t)]
  await migrate(one.database, OPTIONS)
  await two.server.query(writeScript(await findPending(two.database, OPTIONS), OPTIONS))
  assert.deepEqual(await describeSchema(two.server, 'moca'), await describeSchema(one.server, 'moca'))
  assert.ok((await describeSchema(one.server, 'moca')).length > 50)
  await requireSchema(two.database, OPTIONS)
  assert.deepEqual(await migrate(two.database, OPTIONS), [])
})
