import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type PostgresServer, startPostgres, type TestDatabase } from '../../test/support/postgres-server.ts'
import { waitFor } from '../../test/support/wait-for.ts'
import { ClosedError, ConnectionError } from '../errors.ts'
import { Database, type DatabaseOptions } from './database.ts'

let postgres: PostgresServer
let server: TestDatabase
before(async () => {
  postgres = await startPostgres()
  server = await postgres.createDatabase()
  await server.query('create table city (name text primary key)')
})
after(() => postgres.stop())

type Scope = { after: (undo: () => Promise<void>) => void; name: string }

function openDatabase(test: Scope, options: Partial<DatabaseOptions> = {}): Database {
  const database = new Database({ url: server.url, name: 'moca:test', ...options })
  test.after(() => database.close())
  return database
}

const PID = 'select pg_backend_pid() as pid'

test('keeps connections, and opens no more than it may', async (t) => {
  const database = openDatabase(t, { maxConnections: 2 })
  const ask = async () => (await database.query<{ pid: number }>(`${PID}, pg_sleep(0.01)`))[0]?.pid
  const pids = await Promise.all(Array.from({ length: 10 }, ask))
  assert.equal(new Set(pids).size, 2)
  assert.ok(pids.includes(await ask()))
})

test('a transaction keeps its connection to itself, and others go on beside it', async (t) => {
  const database = openDatabase(t, { maxConnections: 2 })
  await database.transaction(async (tx) => {
    await tx.query(`insert into city values ('Oslo')`)
    assert.deepEqual(await database.query('select * from city'), [])
    assert.deepEqual(await tx.query(PID), await tx.query(PID))
  })
  assert.deepEqual(await database.query('select * from city'), [{ name: 'Oslo' }])
})

test('a failed statement or transaction gives its connection back', async (t) => {
  const database = openDatabase(t, { maxConnections: 1 })
  const [before] = await database.query(PID)
  await assert.rejects(database.query('selec'))
  await assert.rejects(database.transaction((tx) => tx.query('selec')))
  assert.deepEqual(await database.query(PID), [before])
})

test('whoever finds all connections in use for too long is told so, and the others are served in order', async (t) => {
  const database = openDatabase(t, { maxConnections: 1, connectTimeoutMs: 300 })
  const ended = Promise.withResolvers<void>()
  const blocking = database.transaction(() => ended.promise)
  const error = await database.query('select 1').catch((error: unknown) => error)
  assert.ok(error instanceof ConnectionError)
  assert.match(error.message, /All 1 connections to PostgreSQL at 127\.0\.0\.1:\d+\/test_\d+ were in use for 300 ms/)
  const order: number[] = []
  const waiting = [1, 2, 3].map((n) => database.query('select 1').then(() => order.push(n)))
  ended.resolve()
  await Promise.all([blocking, ...waiting])
  assert.deepEqual(order, [1, 2, 3])
})

test('goes on with new connections after the server was killed and came back', async (t) => {
  const database = openDatabase(t)
  await Promise.all([database.query(PID), database.query(PID), database.query(PID)])
  await postgres.kill('SIGKILL')
  const error = await database.query('select 1').catch((error: unknown) => error)
  assert.ok(error instanceof ConnectionError)
  await postgres.start()
  assert.deepEqual(await database.query('select 1 as one'), [{ one: 1 }])
})

test('a server without room for one more connection is worth another try', async (t) => {
  const small = await startPostgres({
    settings: { max_connections: '4', superuser_reserved_connections: '0', max_wal_senders: '0' },
  })
  t.after(() => small.stop())
  const database = openDatabase(t, { url: small.url, maxConnections: 10 })
  const all = await Promise.allSettled(Array.from({ length: 10 }, () => database.query('select pg_sleep(0.3)')))
  const refused = all.flatMap((each) => (each.status === 'rejected' ? [each.reason as ConnectionError] : []))
  assert.ok(refused.length > 0 && refused.length < 10)
  for (const error of refused) assert.deepEqual([error.retryable, error.facts.sqlState], [true, '53300'])
})

test("gives out a connection that counts for no limit and is its owner's to close", async (t) => {
  const database = openDatabase(t, { maxConnections: 1 })
  const own = await database.openConnection('moca:test:own')
  assert.deepEqual(
    await database.query(
      `select application_name from pg_stat_activity where application_name like 'moca:%' order by 1`,
    ),
    [{ application_name: 'moca:test' }, { application_name: 'moca:test:own' }],
  )
  await database.close()
  assert.ok(own.isOpen)
  own.destroy()
})

test('a closing database lets what is under way settle, refuses the rest, and leaves no connection behind', async (t) => {
  const database = openDatabase(t, { maxConnections: 1, name: 'moca:closing' })
  const underWay = database.query<{ n: number }>('select 1 as n, pg_sleep(0.1)')
  const waiting = database.query('select 2')
  const closingAt = performance.now()
  const closed = database.close()
  await assert.rejects(waiting, ClosedError)
  await assert.rejects(database.query('select 3'), ClosedError)
  await assert.rejects(database.openConnection(), ClosedError)
  assert.equal((await underWay)[0]?.n, 1)
  await closed
  assert.ok(performance.now() - closingAt < 4_000, 'not the longest time that it would wait')
  await database.close()
  await waitFor(
    async () =>
      (await server.query(`select from pg_stat_activity where application_name = 'moca:closing'`)).length === 0,
  )
})

test('a database that was never used opens nothing and closes at once', async () => {
  const database = new Database({ url: 'postgres://127.0.0.1:1/x', name: 'unused' })
  await database.close()
})
