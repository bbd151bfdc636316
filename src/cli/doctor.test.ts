import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Project } from '../../test/support/command-line.ts'
import { type PostgresServer, startPostgres } from '../../test/support/postgres-server.ts'
import { QueueScene } from '../../test/support/queue-scene.ts'
import { type RedisServer, startRedis } from '../../test/support/redis-server.ts'
import type { CheckResult } from '../doctor/doctor.ts'

let redis: RedisServer
let postgres: PostgresServer
let project: Project
before(async () => {
  ;[redis, postgres] = await Promise.all([startRedis({ fsync: 'always' }), startPostgres()])
  project = await Project.make({ REDIS_URL: redis.url })
})
after(async () => {
  await project.remove()
  await Promise.all([redis.stop(), postgres.stop()])
})

const statuses = (checks: readonly CheckResult[]) =>
  Object.fromEntries(checks.map(({ check, status }) => [check, status]))

test('finds nothing wrong with an empty namespace on a good Redis, and says what it left out', async () => {
  const { code, stdout, stderr } = await project.run(['doctor'])
  assert.deepEqual([code, stderr], [0, ''])
  assert.match(stdout, /^ok {7}redis {17}Redis \d+\.\d+\.\d+ at 127\.0\.0\.1:\d+\n/)
  assert.match(stdout, /^skipped {2}postgres {14}none is configured$/m)
  assert.match(stdout, /\n\nNothing is wrong\.\n$/)
})

test('a problem is 1, each with what to do', async () => {
  const scene = await QueueScene.open(redis.url, 'unserved')
  await scene.enqueue('default', [{ type: 'a' }])
  scene.close()
  const { code, stdout } = await project.run(['doctor', '--namespace', 'unserved'])
  assert.equal(code, 1)
  assert.match(
    stdout,
    /^problem {2}queues {16}Queue default has 1 job to run, and no worker\.\n {31}Fix: moca worker start --queues default$/m,
  )
  assert.match(stdout, /\n\n1 problem\.\n$/)
})

test('--fix makes the schema, says so, and finds nothing to do the next time; without it nothing is changed', async (t) => {
  const database = await postgres.createDatabase(t)
  const env = { DATABASE_URL: database.url }
  const before = await project.run(['doctor', '--json'], env)
  assert.equal(before.code, 1)
  const found = JSON.parse(before.stdout)
  assert.equal(found.ok, false)
  assert.partialDeepStrictEqual(statuses(found.checks), {
    redis: 'ok',
    postgres: 'ok',
    schema: 'problem',
    lanes: 'skipped',
  })
  assert.deepEqual(await database.query(`select from pg_namespace where nspname = 'moca'`), [])

  const fixed = await project.run(['doctor', '--fix'], env)
  assert.equal(fixed.code, 0, fixed.stdout)
  assert.match(fixed.stdout, /^mended {3}schema {16}Applied migrations 1 \(log\), .* to schema moca\.$/m)
  const again = await project.run(['doctor', '--fix', '--json'], env)
  const { ok, checks } = JSON.parse(again.stdout)
  assert.deepEqual([again.code, ok], [0, true])
  assert.ok(checks.every(({ mended }: CheckResult) => mended.length === 0))
  assert.partialDeepStrictEqual(statuses(checks), {
    schema: 'ok',
    partitions: 'ok',
    retention: 'ok',
    lanes: 'note',
    'parked keys': 'ok',
    subscriptions: 'ok',
    captures: 'ok',
  })
})

test('servers that are away are problems, and the rest is left out', async () => {
  const env = { REDIS_URL: 'redis://127.0.0.1:1', DATABASE_URL: 'postgres://anna:hunter2@127.0.0.1:1/shop' }
  const { code, stdout, stderr } = await project.run(['doctor', '--json'], env)
  assert.deepEqual([code, stderr], [1, ''])
  const { checks } = JSON.parse(stdout)
  assert.partialDeepStrictEqual(statuses(checks), { redis: 'problem', postgres: 'problem', queues: 'skipped' })
  assert.doesNotMatch(stdout, /hunter2/)
  const [redisCheck] = checks as CheckResult[]
  assert.match(redisCheck?.diagnoses[0]?.fix ?? '', /Is Redis running/)
})

test('handlers that do not load are a problem', async () => {
  const jobs = `
    import { defineApp, defineConfig, defineSubscription } from 'SRC/index.ts'
    const orders = defineSubscription({ name: 'orders', topics: ['shop.orders'] })
    export default defineConfig({ apps: [defineApp({ name: 'shop', subscriptions: [orders], handlers: () => import('./handlers.mjs') })] })`
  const own = await Project.make({ REDIS_URL: redis.url }, { 'moca.config.mjs': jobs, 'handlers.mjs': 'oops(' })
  try {
    const { code, stdout } = await own.run(['doctor', '--json'])
    assert.equal(code, 1)
    const { checks } = JSON.parse(stdout)
    assert.partialDeepStrictEqual(statuses(checks), { handlers: 'problem', subscriptions: 'skipped' })
  } finally {
    await own.remove()
  }
})
