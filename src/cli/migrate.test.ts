import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Project } from '../../test/support/command-line.ts'
import { type PostgresServer, startPostgres } from '../../test/support/postgres-server.ts'
import { loadMigrations } from '../outbox/migrations.ts'

let postgres: PostgresServer
let project: Project
before(async () => {
  postgres = await startPostgres()
  await postgres.query(`
    create role with_password;
    create role anna login in role with_password password 'hunter2';
    create role berta login`)
  project = await Project.make({})
})
after(async () => {
  await project.remove()
  await postgres.stop()
})

const ALL = loadMigrations('moca').map(({ number, name }) => ({ number, name }))

test('makes the schema, says what it did, and has nothing to do the next time', async (t) => {
  const database = await postgres.createDatabase(t)
  const env = { DATABASE_URL: database.url, MOCA_NAMESPACE: 'shop' }
  const first = await project.run(['migrate'], env)
  const version = ALL.length
  assert.deepEqual([first.code, first.stderr], [0, ''])
  assert.match(first.stdout, /^Applied migration 1: log\.\nApplied migration 2: record\./)
  assert.ok(first.stdout.endsWith(`\nSchema moca is at migration ${version}.\n`))
  const second = await project.run(['migrate'], env)
  assert.deepEqual([second.code, second.stdout], [0, `Schema moca is at migration ${version}: nothing to do.\n`])
  const json = await project.run(['migrate', '--json'], env)
  assert.deepEqual(JSON.parse(json.stdout), { schema: 'moca', namespace: 'shop', version, applied: [] })
})

test('--json tells what was applied; processes at once end well, and each migration is applied by one of them', async (t) => {
  const database = await postgres.createDatabase(t)
  const config = `export default { postgres: { url: ${JSON.stringify(database.url)}, schema: 'jobs' }, outbox: { maxBytes: 99 } }`
  const own = await Project.make({}, { 'moca.config.mjs': config })
  t.after(() => own.remove())
  const ended = await Promise.all([1, 2, 3].map(() => own.run(['migrate', '--json'])))
  assert.deepEqual(
    ended.map(({ code, stderr }) => [code, stderr]),
    [
      [0, ''],
      [0, ''],
      [0, ''],
    ],
  )
  const results = ended.map(({ stdout }) => JSON.parse(stdout))
  assert.deepEqual(
    results.flatMap(({ applied }) => applied as { number: number }[]).toSorted((a, b) => a.number - b.number),
    ALL,
  )
  assert.deepEqual(await database.query('select namespace, max_bytes from jobs.deployment'), [
    { namespace: 'default', max_bytes: 99 },
  ])
})

test('--print prints the SQL that is missing and runs nothing', async (t) => {
  const database = await postgres.createDatabase(t)
  const env = { DATABASE_URL: database.url }
  const { code, stdout, stderr } = await project.run(['migrate', '--print'], env)
  assert.deepEqual([code, stderr], [0, ''])
  assert.deepEqual(await database.query(`select from pg_namespace where nspname = 'moca'`), [])
  await database.query(stdout)
  assert.match((await project.run(['migrate'], env)).stdout, /nothing to do/)
  const again = JSON.parse((await project.run(['migrate', '--print', '--json'], env)).stdout)
  assert.deepEqual(again.pending, [])
  assert.doesNotMatch(again.sql, /create table/)
})

test('--print needs no database: without one it prints everything', async () => {
  const { code, stdout } = await project.run(['migrate', '--print', '--json'])
  assert.equal(code, 0)
  const { schema, pending, sql } = JSON.parse(stdout)
  assert.deepEqual([schema, pending], ['moca', ALL])
  assert.match(sql, /^begin;\n[^]*create table "moca"\.outbox [^]*commit;\n$/)
})

test('without a database it says what to set', async () => {
  for (const env of [{}, { DATABASE_URL: 'mysql://root@127.0.0.1/shop' }]) {
    const { code, stdout, stderr } = await project.run(['migrate'], env)
    assert.deepEqual([code, stdout], [2, ''])
    assert.match(stderr, /^Error: {3}moca migrate needs PostgreSQL: set postgres\.url, or DATABASE_URL/)
  }
})

test('refuses the schema of another namespace with 1, and says the way out', async (t) => {
  const database = await postgres.createDatabase(t)
  const env = { DATABASE_URL: database.url }
  assert.equal((await project.run(['migrate', '--namespace', 'a'], env)).code, 0)
  const { code, stdout, stderr } = await project.run(['migrate', '--namespace', 'b'], env)
  assert.deepEqual([code, stdout], [1, ''])
  assert.match(
    stderr,
    /^Error: {3}Schema moca belongs to namespace a, not to b\.[^]*\nContext: namespace b, Redis at .*, PostgreSQL at 127\.0\.0\.1:\d+\/test_\d+, no configuration file\nFix: {5}Set postgres\.schema/,
  )
  const json = JSON.parse((await project.run(['migrate', '--namespace', 'b', '--json'], env)).stderr)
  assert.deepEqual([json.code, json.exitCode], ['schema_unknown', 1])
})

test('a database that cannot be reached is 3, and no password is told', async () => {
  const url = 'postgres://anna:hunter2@127.0.0.1:1/shop'
  const { code, stdout, stderr } = await project.run(['migrate', '--verbose'], { DATABASE_URL: url })
  assert.deepEqual([code, stdout], [3, ''])
  assert.match(
    stderr,
    /^Error: {3}Could not connect to PostgreSQL at 127\.0\.0\.1:1\/shop: [^]*Fix: {5}Is PostgreSQL running/,
  )
  assert.doesNotMatch(stderr, /hunter2/)
})

test('a refused password is 3, a missing privilege 1, each with what to do', async (t) => {
  const database = await postgres.createDatabase(t)
  const login = await project.run(['migrate'], { DATABASE_URL: postgres.urlOf(database.name, 'anna:wrong') })
  assert.equal(login.code, 3)
  assert.match(
    login.stderr,
    /password authentication failed for user "anna"[^]*Fix: {5}PostgreSQL runs, and refuses the user/,
  )
  const privilege = await project.run(['migrate'], { DATABASE_URL: postgres.urlOf(database.name, 'berta') })
  assert.equal(privilege.code, 1)
  assert.match(
    privilege.stderr,
    /permission denied for database test_\d+[^]*Fix: {5}Grant the user what the message names/,
  )
})

test('--timeout waits for a database that comes up', async () => {
  const late = await startPostgres()
  try {
    await late.kill('SIGINT')
    const running = project.start(['migrate', '--timeout', '60s', '--json'], { DATABASE_URL: late.url })
    await late.start()
    const { code, stdout, stderr } = await running.ended
    assert.equal(code, 0, stderr)
    assert.deepEqual(JSON.parse(stdout).applied, ALL)
  } finally {
    await late.stop()
  }
})
