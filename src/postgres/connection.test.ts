import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { after, before, test } from 'node:test'
import { type PostgresServer, startPostgres, type TestDatabase } from '../../test/support/postgres-server.ts'
import { startProxy } from '../../test/support/proxy.ts'
import { waitFor } from '../../test/support/wait-for.ts'
import { AccessError, ConfigError, ConnectionError, SqlError } from '../errors.ts'
import { describePostgresUrl, PostgresConnection } from './connection.ts'

let postgres: PostgresServer
let database: TestDatabase
before(async () => {
  postgres = await startPostgres()
  database = await postgres.createDatabase()
  await postgres.query(`
    create role with_password;
    create role anna login in role with_password password 'hunter2';
    create role berta login`)
  await database.query('create table city (name text primary key)')
})
after(() => postgres.stop())

const open = (options: { url?: string; connectTimeoutMs?: number; replyTimeoutMs?: number } = {}) =>
  PostgresConnection.open({ url: database.url, ...options }, 'moca:test')

/** What a promise rejects with. */
async function failure(
  promise: Promise<unknown>,
): Promise<Error & { code: string; retryable: boolean; facts: object }> {
  const error = await promise.then(
    () => assert.fail('it was fulfilled'),
    (error: unknown) => error,
  )
  assert.ok(error instanceof Error)
  return error as Error & { code: string; retryable: boolean; facts: object }
}

test('sends statements one after another, each with its own answer, under a name that the server lists', async (t) => {
  // The driver warns who leaves the queueing to it.
  const warnings: Error[] = []
  const note = (warning: Error) => warnings.push(warning)
  process.on('warning', note)
  t.after(() => process.off('warning', note))
  const connection = await open()
  const answers = await Promise.all([1, 2, 3].map((n) => connection.query<{ n: number }>('select $1::int as n', [n])))
  assert.deepEqual(answers.flat(), [{ n: 1 }, { n: 2 }, { n: 3 }])
  const [me] = await connection.query<{ name: string }>(`select current_setting('application_name') as name`)
  assert.deepEqual(me, { name: 'moca:test' })
  assert.deepEqual(warnings, [])
  connection.destroy()
})

test('prepares a named statement once', async () => {
  const connection = await open()
  for (const n of [1, 2]) await connection.query('select $1::int as n', [n], { name: 'moca-n' })
  assert.deepEqual(await connection.query('select name from pg_prepared_statements'), [{ name: 'moca-n' }])
  connection.destroy()
})

test('an integer of 64 bits is a number, and refused where a number cannot hold it', async () => {
  const connection = await open()
  const [row] = await connection.query(`
    select 9007199254740991::int8 as most, -9007199254740991::int8 as least, null::int8 as none,
      array[1, null, 9007199254740991]::int8[] as list, array[[1, 2], [3, 4]]::int8[] as nested, '10'::xid8 as xid`)
  const [most, least] = [Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER]
  const lists = {
    list: [1, null, most],
    nested: [
      [1, 2],
      [3, 4],
    ],
  }
  assert.deepEqual(row, { most, least, none: null, ...lists, xid: '10' })
  for (const text of ['9007199254740992::int8', '-9007199254740992::int8', 'array[9007199254740993]::int8[]']) {
    await assert.rejects(connection.query(`select ${text} as n`), /9007199254740992|9007199254740993.* too large/)
  }
  assert.deepEqual(await connection.query('select 1 as n'), [{ n: 1 }], 'the connection goes on')
  connection.destroy()
})

test('tells what PostgreSQL refuses with its SQLSTATE and hint, and goes on', async () => {
  const connection = await open()
  const syntax = await failure(connection.query('selec 1'))
  assert.ok(syntax instanceof SqlError)
  assert.deepEqual([syntax.code, syntax.sqlState, syntax.retryable], ['sql_failed', '42601', false])
  await connection.query(`insert into city values ('Oslo')`)
  const twice = await failure(connection.query(`insert into city values ('Oslo')`))
  assert.ok(twice instanceof SqlError)
  assert.equal(twice.sqlState, '23505')
  assert.deepEqual([twice.facts.table, twice.facts.constraint], ['city', 'city_pkey'])
  const own = await failure(
    connection.query(`do $$ begin raise exception using errcode = 'MO001', message = 'no', hint = 'Do this.'; end $$`),
  )
  assert.deepEqual(own.facts, { sqlState: 'MO001', hint: 'Do this.', table: undefined, constraint: undefined })
  assert.ok(connection.isOpen)
  connection.destroy()
})

test('a statement that was ended for others is worth another try', async () => {
  const connection = await open()
  await connection.query(`set statement_timeout = '20ms'`)
  const late = await failure(connection.query('select pg_sleep(10)'))
  assert.deepEqual([(late as SqlError).sqlState, late.retryable], ['57014', true])
  connection.destroy()
})

test('tells a refused user or privilege from a server that is away', async () => {
  const login = await failure(open({ url: postgres.urlOf(database.name, 'anna:wrong') }))
  assert.ok(login instanceof AccessError)
  assert.deepEqual([login.code, login.retryable, login.facts.sqlState], ['postgres_refused', false, '28P01'])
  const none = await failure(open({ url: postgres.urlOf(database.name, 'anna') }))
  assert.ok(none instanceof AccessError)
  const unknown = await failure(open({ url: postgres.urlOf(database.name, 'nobody_of_us') }))
  assert.ok(unknown instanceof AccessError)
  const berta = await open({ url: postgres.urlOf(database.name, 'berta') })
  const privilege = await failure(berta.query('select * from city'))
  assert.ok(privilege instanceof AccessError)
  assert.match(privilege.message, /does not permit this user what was asked: permission denied for table city/)
  assert.ok(berta.isOpen)
  berta.destroy()
  const missing = await failure(open({ url: postgres.urlOf('no_such_database') }))
  assert.match(missing.message, /Could not connect .*database "no_such_database" does not exist/)
  assert.equal((missing as SqlError).sqlState, '3D000')
})

test('never tells a password', async () => {
  const tell = (error: Error & { facts: object }) =>
    JSON.stringify([error.message, error.facts, String(error.cause), error.stack])
  const urls = [
    postgres.urlOf(database.name, 'anna:hunter3'),
    'postgres://anna:hunter3@127.0.0.1:1/x',
    'postgres://anna:hunter3@127.0.0.1:x/x',
    'postgres://anna:hunter3@no-such-host.invalid/x',
  ]
  for (const url of urls) assert.doesNotMatch(tell(await failure(open({ url }))), /hunter3/)
  assert.doesNotMatch(describePostgresUrl('postgres://anna:hunter3@h/x?password=hunter3'), /hunter3/)
})

test('describes a URL by host, port and database', () => {
  assert.equal(describePostgresUrl('postgres://a:b@db.example:6543/shop?sslmode=require'), 'db.example:6543/shop')
  assert.equal(describePostgresUrl('postgresql://db.example'), 'db.example:5432')
  assert.equal(describePostgresUrl('postgres:///shop?host=/run/postgresql'), '/run/postgresql:5432/shop')
  assert.equal(describePostgresUrl('postgres://%2Frun%2Fpostgresql/shop'), '/run/postgresql:5432/shop')
  assert.equal(describePostgresUrl('nonsense'), 'an unreadable URL')
})

test('rejects with ConnectionError where nobody listens, and where nobody answers in time', async () => {
  const refused = await failure(open({ url: 'postgres://postgres@127.0.0.1:1/x' }))
  assert.ok(refused instanceof ConnectionError)
  assert.match(refused.message, /Could not connect to PostgreSQL at 127\.0\.0\.1:1\/x: .*ECONNREFUSED/)
  assert.equal(refused.facts.server, 'PostgreSQL')
  const mute = createServer().listen(0, '127.0.0.1')
  await once(mute, 'listening')
  const url = `postgres://postgres@127.0.0.1:${(mute.address() as AddressInfo).port}/x`
  const late = await failure(open({ url, connectTimeoutMs: 50 }))
  assert.ok(late instanceof ConnectionError)
  assert.match(late.message, /did not answer within 50 ms/)
  mute.close()
})

test('refuses a URL that cannot be used, and takes no standby', async (t) => {
  await assert.rejects(open({ url: 'postgres://127.0.0.1:x/x' }), ConfigError)
  const standby = await startPostgres({ isStandby: true })
  t.after(() => standby.stop())
  const error = await failure(open({ url: standby.url }))
  assert.ok(error instanceof ConnectionError)
  assert.match(error.message, /is a standby; Moca writes, and needs the primary/)
})

test('when the server ends it, what is unanswered and what comes later is refused with the reason', async () => {
  const connection = await open()
  const [me] = await connection.query<{ pid: number }>('select pg_backend_pid() as pid')
  const waiting = failure(connection.query('select pg_sleep(60)'))
  const next = failure(connection.query('select 1'))
  await waitFor(
    async () =>
      (await database.query(`select from pg_stat_activity where pid = $1 and query like '%sleep%'`, [me?.pid])).length,
    { describe: 'the server to sleep' },
  )
  await database.query('select pg_terminate_backend($1)', [me?.pid])
  for (const error of [
    await waiting,
    await next,
    await failure(connection.query('select 1')),
    await connection.closed,
  ]) {
    assert.ok(error instanceof ConnectionError)
    assert.match(error.message, /went away: terminating connection due to administrator command/)
    assert.equal(error.facts.sqlState, '57P01')
  }
  assert.equal(connection.isOpen, false)
})

test('an idle connection tells that it broke, and a second end is harmless', async (t) => {
  const proxy = await startProxy({ targetPort: () => postgres.port })
  t.after(() => proxy.stop())
  const url = database.url.replace(String(postgres.port), new URL(proxy.url).port)
  const connection = await open({ url })
  proxy.cut()
  assert.ok((await connection.closed) instanceof ConnectionError)
  connection.destroy()
  connection.destroy()
})

test('a statement without an answer in time breaks the connection; one may be given longer', async (t) => {
  const proxy = await startProxy({ targetPort: () => postgres.port })
  t.after(() => proxy.stop())
  const url = database.url.replace(String(postgres.port), new URL(proxy.url).port)
  const connection = await open({ url, replyTimeoutMs: 100 })
  await connection.query('select pg_sleep(1.2)', [], { replyTimeoutMs: 60_000 })
  proxy.setFaults({ kind: 'hole' })
  const error = await failure(connection.query('select 1'))
  assert.ok(error instanceof ConnectionError)
  assert.match(error.message, /did not answer within 100 ms: the connection hangs/)
})

test('a process that was stopped for long does not take an answer that lies there for a late one', async (t) => {
  const program = `
    import { PostgresConnection } from ${JSON.stringify(new URL('./connection.ts', import.meta.url).href)}
    const connection = await PostgresConnection.open({ url: process.env.URL, replyTimeoutMs: 1000 }, 'stopped')
    const answer = connection.query('select pg_sleep(0.5)')
    console.log('asked')
    console.log(await answer.then(() => 'answered', (error) => error.message))
    connection.destroy()`
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    env: { ...process.env, URL: database.url },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.after(() => child.kill('SIGKILL'))
  let output = ''
  child.stdout.on('data', (chunk) => {
    output += String(chunk)
  })
  await waitFor(() => output.includes('asked'), { describe: 'the question' })
  child.kill('SIGSTOP')
  // Longer than the reply may take, and the interval of looking: that is what is tested.
  await new Promise((resolve) => setTimeout(resolve, 2_500))
  child.kill('SIGCONT')
  await once(child, 'close')
  assert.match(output, /asked\nanswered\n/)
})

test('commits a transaction, and rolls back when it rejects', async () => {
  const connection = await open()
  const id = await connection.transaction(async (tx) => {
    await tx.query(`insert into city values ('Rome')`)
    return 7
  })
  assert.equal(id, 7)
  const refused = connection.transaction(async (tx) => {
    await tx.query(`insert into city values ('Paris')`)
    throw new Error('no')
  })
  await assert.rejects(refused, { message: 'no' })
  assert.deepEqual(await connection.query(`select name from city where name in ('Rome', 'Paris')`), [{ name: 'Rome' }])
  connection.destroy()
})

test('a transaction is read committed, whatever the role prefers, and holds no statement after its end', async () => {
  const connection = await open()
  await connection.query(`set default_transaction_isolation = 'serializable'`)
  let leaked: { query(text: string): Promise<unknown> } | undefined
  await connection.transaction(async (tx) => {
    leaked = tx
    assert.deepEqual(await tx.query('show transaction_isolation'), [{ transaction_isolation: 'read committed' }])
  })
  await assert.rejects(leaked?.query('select 1') ?? Promise.resolve(), /The transaction has ended/)
  connection.destroy()
})

test('a transaction whose failure was ignored does not count as committed', async () => {
  const connection = await open()
  const ignored = connection.transaction(async (tx) => {
    await tx.query(`insert into city values ('Bern')`)
    await tx.query('selec').catch(() => {})
  })
  await assert.rejects(ignored, /was rolled back: a statement of it had failed/)
  assert.deepEqual(await connection.query(`select from city where name = 'Bern'`), [])
  connection.destroy()
})

test('a commit whose answer is lost says that its outcome is not known', async (t) => {
  const proxy = await startProxy({ targetPort: () => postgres.port })
  t.after(() => proxy.stop())
  const url = database.url.replace(String(postgres.port), new URL(proxy.url).port)
  const connection = await open({ url, replyTimeoutMs: 100 })
  const lost = connection.transaction(async (tx) => {
    await tx.query(`insert into city values ('Kyiv')`)
    proxy.setFaults({ kind: 'hole', direction: 'toClient' })
  })
  const error = await failure(lost)
  assert.ok(error instanceof ConnectionError)
  assert.match(error.message, /Whether the transaction was committed is not known/)
  await waitFor(async () => (await database.query(`select from city where name = 'Kyiv'`)).length === 1)
})

test('without the package pg it says what to install', async () => {
  const hook = `
    import { registerHooks } from 'node:module'
    registerHooks({ resolve: (name, context, next) => {
      if (name !== 'pg') return next(name, context)
      throw Object.assign(new Error("Cannot find package 'pg' imported from here"), { code: 'ERR_MODULE_NOT_FOUND' })
    } })`
  const program = `
    import { PostgresConnection } from ${JSON.stringify(new URL('./connection.ts', import.meta.url).href)}
    await PostgresConnection.open({ url: 'postgres://x' }, 'x').catch((error) => console.log(error.code, error.message))`
  const load = `data:text/javascript,${encodeURIComponent(hook)}`
  const child = spawn(process.execPath, ['--import', load, '--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [said] = await once(child.stdout, 'data')
  assert.match(String(said), /^config_invalid PostgreSQL \(postgres\.url\) needs the package pg, .*: npm install pg\n/)
})
