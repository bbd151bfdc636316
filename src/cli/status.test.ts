import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Project } from '../../test/support/command-line.ts'
import { LedgerSink } from '../../test/support/ledger-sink.ts'
import { OutboxScene } from '../../test/support/outbox-scene.ts'
import { type PostgresServer, startPostgres } from '../../test/support/postgres-server.ts'
import { QueueScene } from '../../test/support/queue-scene.ts'
import { type RedisServer, startRedis } from '../../test/support/redis-server.ts'
import { waitFor } from '../../test/support/wait-for.ts'
import { defineSubscription } from '../events/subscription.ts'
import { defineJob } from '../job/job.ts'
import { createMoca } from '../moca.ts'
import { OutboxReader } from '../outbox/outbox-status.ts'
import { Subscriptions } from '../outbox/subscriptions.ts'
import { defineSchedule } from '../scheduler/schedule.ts'

let redis: RedisServer
let postgres: PostgresServer
let project: Project
before(async () => {
  ;[redis, postgres] = await Promise.all([startRedis(), startPostgres()])
  project = await Project.make({ REDIS_URL: redis.url, MOCA_NAMESPACE: 'test' })
})
after(async () => {
  await project.remove()
  await Promise.all([redis.stop(), postgres.stop()])
})

test('a whole deployment is one screen: servers, processes, queues, outbox, subscriptions', async (t) => {
  const queues = await QueueScene.open(redis.url, 'test', ['default', 'critical', 'long'])
  await queues.enqueue('default', [{ type: 'a' }, { type: 'a', in: 60_000 }])
  await queues.command('HSET', ':workers', 'host-1', JSON.stringify({ queues: ['default'] }))
  await queues.command('ZADD', ':workers:seen', String(Date.now()), 'host-1')
  queues.close()
  const scene = await OutboxScene.open(t, postgres)
  const sink = new LedgerSink()
  sink.isBroken = (row) => row.payload.includes('"poison"')
  scene.relay(sink).start()
  await scene.record([{ key: 'a' }, { key: 'p', data: 'poison' }])
  const connection = await scene.connect()
  await waitFor(
    async () => {
      const [status] = (await new OutboxReader(connection, 'moca').status()).sinks
      return status?.parkedKeys === 1 && status.waiting === 0
    },
    { describe: 'one event to be relayed and one to be parked', timeoutMs: 15_000 },
  )
  // Only now: the scene's relay knows no subscriptions, and intends nothing where there are some.
  await new Subscriptions(connection, 'moca').register(defineSubscription({ name: 'orders', topics: ['shop.*'] }))

  const moca = createMoca({ namespace: 'test', redis: { url: redis.url } })
  await moca.scheduler.upsert(
    defineSchedule({ name: 'hourly', job: defineJob({ type: 'a' }), payload: {}, every: '1h' }),
  )
  await moca.close()

  const env = { DATABASE_URL: scene.database.url }
  const { code, stdout, stderr } = await project.run(['status'], env)
  assert.deepEqual([code, stderr], [0, ''])
  assert.match(
    stdout,
    /^Namespace test, 20\S+Z\n\nRedis {8}7\S* at 127\.0\.0\.1:\d+\nPostgreSQL {3}\S+.* at 127\.0\.0\.1:\d+\//,
  )
  assert.match(stdout, /^Workers {6}1: host-1 \(default\)$/m)
  assert.match(stdout, /^Relays {7}1: \S+$/m)
  assert.match(stdout, /^Schedules {4}1; no scheduler leads: nothing fires$/m)
  assert.match(stdout, /^default +1 +0 +1 +0 +0 +[\d.]+ m?s$/m)
  assert.match(stdout, /^Outbox {7}ledger: everything is relayed$/m)
  assert.match(stdout, /^Parked keys {2}1: moca outbox status --parked$/m)
  assert.match(stdout, /^Lost jobs {4}none$/m)
  assert.match(stdout, /^orders +shop\.\* +default +[\d.]+ m?s$/m)
  assert.ok(stdout.trimEnd().split('\n').length <= 24, stdout)

  const json = JSON.parse((await project.run(['status', '--json'], env)).stdout)
  assert.deepEqual(Object.keys(json), [
    'namespace',
    'at',
    'servers',
    'workers',
    'queues',
    'losses',
    'schedules',
    'outbox',
    'subscriptions',
  ])
  assert.equal(json.queues.default.waiting, 1)
  assert.equal(json.outbox.sinks[0].parkedKeys, 1)
  assert.equal(json.subscriptions[0].name, 'orders')
})

test('without PostgreSQL it shows what there is; a schema that is missing is told', async (t) => {
  const alone = await project.run(['status'])
  assert.equal(alone.code, 0)
  assert.doesNotMatch(alone.stdout, /PostgreSQL|Outbox/)
  const database = await postgres.createDatabase(t)
  const { code, stdout } = await project.run(['status'], { DATABASE_URL: database.url })
  assert.equal(code, 0)
  assert.match(stdout, /^Outbox {7}There is no schema moca of Moca in this database\. Run moca migrate\.$/m)
})

test('a server that is away is told, the other one shown, and the exit code is 3', async () => {
  const env = { DATABASE_URL: 'postgres://anna:hunter2@127.0.0.1:1/shop' }
  const { code, stdout } = await project.run(['status'], env)
  assert.equal(code, 3)
  assert.match(stdout, /^Redis {8}7/m)
  assert.match(stdout, /^PostgreSQL {3}Could not connect to PostgreSQL at 127\.0\.0\.1:1\/shop/m)
  assert.doesNotMatch(stdout, /hunter2/)
})

test('--watch goes on through a restart of Redis, until it is told to stop', async () => {
  const own = await startRedis()
  try {
    const running = project.start(['status', '--watch', '--json'], { REDIS_URL: own.url })
    await running.said(/"version":"7/)
    await own.restart()
    const before = running.output.length
    await waitFor(() => /"version":"7[^\n]*"queues"/.test(running.output.slice(before)), {
      timeoutMs: 15_000,
      describe: 'a look at the new server',
    })
    running.kill('SIGTERM')
    assert.equal((await running.ended).code, 0)
  } finally {
    await own.stop()
  }
})
