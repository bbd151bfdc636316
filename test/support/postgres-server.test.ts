import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { after, before, test } from 'node:test'
import { Client } from 'pg'
import type { PostgresKind } from './postgres-binaries.ts'
import { type PostgresServer, startPostgres } from './postgres-server.ts'
import { waitFor } from './wait-for.ts'

/** Also true for a process that ended but whose new parent has not collected it (containers without an init). */
function isGone(pid: number | undefined): boolean {
  assert.ok(pid)
  try {
    process.kill(pid, 0)
    return existsSync('/proc/self/stat') && / \(.*\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return true
  }
}

let postgres: PostgresServer
before(async () => {
  postgres = await startPostgres()
})
after(() => postgres.stop())

test('starts a server that answers, and leaves neither process nor directory', async () => {
  const other = await startPostgres()
  const { pid, dir } = other
  assert.match(other.url, /^postgres:\/\/postgres@127\.0\.0\.1:\d+\/postgres$/)
  assert.deepEqual(await other.query(`select 1 as one, current_setting('server_encoding') as encoding`), [
    { one: 1, encoding: 'UTF8' },
  ])
  await other.stop()
  await other.stop()
  assert.ok(isGone(pid))
  assert.equal(other.pid, undefined)
  assert.equal(existsSync(dir), false)
})

test('starts several at once', async () => {
  const servers = await Promise.all([startPostgres(), startPostgres(), startPostgres()])
  assert.equal(new Set(servers.map(({ port }) => port)).size, 3)
  await Promise.all(servers.map((server) => server.stop()))
})

test('gives a test a database of its own and drops it at its end, though somebody is connected', async (t) => {
  const dropped: string[] = []
  await t.test('which uses it', async (t) => {
    const database = await postgres.createDatabase(t)
    dropped.push(database.name)
    await database.query('create table city (name text)')
    const other = new Client({ connectionString: database.url })
    other.on('error', () => {})
    await other.connect()
  })
  const left = await postgres.query('select from pg_database where datname = any ($1)', [dropped])
  assert.deepEqual([dropped.length, left.length], [1, 0])
})

test('keeps what was committed through SIGKILL, and empties unlogged tables as a crash does', async (t) => {
  const database = await postgres.createDatabase(t)
  await database.query('create table city (name text); create unlogged table visit (at int)')
  await database.query(`insert into city values ('Oslo'); insert into visit values (1)`)
  const before = postgres.pid
  await postgres.kill('SIGKILL')
  await postgres.restart()
  assert.notEqual(postgres.pid, before)
  assert.deepEqual(await database.query('select name from city'), [{ name: 'Oslo' }])
  assert.deepEqual(await database.query('select at from visit'), [])
})

test('SIGKILL ends also a connection that is at work', async (t) => {
  const database = await postgres.createDatabase(t)
  const endless = database
    .query('select count(*) from generate_series(1, 100000000000)')
    .catch((error: unknown) => error)
  await waitFor(
    async () => (await database.query(`select from pg_stat_activity where query like '%100000000000%'`)).length > 1,
    { describe: 'the endless statement to run' },
  )
  await postgres.kill('SIGKILL')
  assert.ok((await endless) instanceof Error)
  await postgres.start()
})

test('a server that is stopped by SIGSTOP answers nobody until SIGCONT, and can be ended', async () => {
  const other = await startPostgres()
  await other.kill('SIGSTOP')
  assert.ok(other.pid)
  let answered = false
  const answer = other.query('select 1').then(() => {
    answered = true
  })
  const socket = createServer().listen(0) // something else of the event loop goes on
  await once(socket, 'listening')
  socket.close()
  assert.equal(answered, false)
  await other.kill('SIGCONT')
  await answer
  await other.kill('SIGSTOP')
  await other.stop()
  assert.equal(other.pid, undefined)
})

test('puts data back to a backup, also on another server', async (t) => {
  const first = await startPostgres({ isUnique: true })
  t.after(() => first.stop())
  await first.query('create table city (name text)')
  const backup = await first.backup()
  await first.query(`insert into city values ('Oslo')`)
  const identifier = 'select system_identifier from pg_control_system()'
  const second = await startPostgres({ backup })
  t.after(() => second.stop())
  assert.deepEqual(await second.query('select * from city'), [])
  assert.deepEqual(await second.query(identifier), await first.query(identifier))
  assert.notDeepEqual(await postgres.query(identifier), await first.query(identifier))
  assert.equal((await first.query('select * from city')).length, 1)
  await first.restore(backup)
  assert.deepEqual(await first.query('select * from city'), [])
})

test('runs without fsync unless asked, and passes settings on', async (t) => {
  const show = `select current_setting('fsync') as fsync, current_setting('max_connections') as connections`
  assert.deepEqual(await postgres.query(show), [{ fsync: 'off', connections: '100' }])
  const safe = await startPostgres({ fsync: true, settings: { max_connections: '7' } })
  t.after(() => safe.stop())
  assert.deepEqual(await safe.query(show), [{ fsync: 'on', connections: '7' }])
})

test('asks members of with_password for theirs', async (t) => {
  const database = await postgres.createDatabase(t)
  await postgres.query(`create role with_password; create role anna login in role with_password password 'hunter2'`)
  const connect = async (user: string) => {
    const client = new Client({ connectionString: postgres.urlOf(database.name, user) })
    await client.connect()
    await client.end()
  }
  await connect('anna:hunter2')
  await assert.rejects(connect('anna:wrong'), { code: '28P01' })
})

test('refuses a given port that is taken', async () => {
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  try {
    const { port } = other.address() as { port: number }
    await assert.rejects(startPostgres({ port }), { message: `port ${port} is in use` })
  } finally {
    other.close()
  }
})

test('tells why the server did not start', async () => {
  await assert.rejects(
    startPostgres({ settings: { no_such_setting: '1' } }),
    /ended while starting \(exit code 1\):[^]*no_such_setting/,
  )
})

const VERSIONS: Record<PostgresKind, RegExp> = { embedded: /^18\./, distribution: /^1[4-9]\./ }

test('is the server that MOCA_TEST_POSTGRES names, or the embedded one', async () => {
  assert.equal(postgres.kind, process.env.MOCA_TEST_POSTGRES ?? 'embedded')
  const [row] = await postgres.query<{ version: string }>(`select current_setting('server_version') as version`)
  assert.match(row?.version ?? '', VERSIONS[postgres.kind])
})

test('the server ends when the process that started it is killed', async () => {
  const program = `
    import { startPostgres } from ${JSON.stringify(new URL('./postgres-server.ts', import.meta.url).href)}
    const postgres = await startPostgres()
    console.log(JSON.stringify({ pid: postgres.pid, dir: postgres.dir }))
    setInterval(() => {}, 1000)`
  const starter = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = await once(starter.stdout, 'data')
  const { pid, dir } = JSON.parse(String(line)) as { pid: number; dir: string }
  assert.ok(!isGone(pid))
  starter.kill('SIGKILL')
  await waitFor(() => isGone(pid) && !existsSync(dir), { describe: `PostgreSQL ${pid} to end with its starter` })
})

test('a forgotten server does not keep its starter alive', async () => {
  const program = `
    import { startPostgres } from ${JSON.stringify(new URL('./postgres-server.ts', import.meta.url).href)}
    console.log((await startPostgres()).pid)`
  const starter = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = await once(starter.stdout, 'data')
  const [code] = await once(starter, 'exit')
  assert.equal(code, 0)
  await waitFor(() => isGone(Number(line)), { describe: 'the forgotten server to end' })
})
