import assert from 'node:assert/strict'
import { after, before, test, type TestContext } from 'node:test'
import { Client } from 'pg'
import { defineSubscription, handleEvent } from '../../src/events/subscription.ts'
import { defineJob, handle } from '../../src/job/job.ts'
import { silentLogger } from '../../src/logger.ts'
import { createMoca } from '../../src/moca.ts'
import { Retention } from '../../src/outbox/retention.ts'
import { Subscriptions } from '../../src/outbox/subscriptions.ts'
import { PostgresConnection } from '../../src/postgres/connection.ts'
import { Database } from '../../src/postgres/database.ts'
import { runOutboxProcess } from '../../src/processes/outbox.ts'
import { createWorker } from '../../src/worker.ts'
import { LedgerSink } from '../support/ledger-sink.ts'
import { type OutboxScene, outboxScenes } from '../support/outbox-scene.ts'
import { type PgBouncer, startPgBouncer } from '../support/pgbouncer.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { waitFor } from '../support/wait-for.ts'

// Behind PgBouncer in transaction mode: one transaction and the next run in different sessions of the server.

let redis: RedisServer
before(async () => {
  redis = await startRedis({ fsync: 'always' })
})
after(() => redis.stop())
let pooler: PgBouncer | undefined
after(() => pooler?.stop())
const openScene = outboxScenes()

async function stage(t: TestContext): Promise<{ scene: OutboxScene; url: string }> {
  const scene = await openScene(t)
  pooler ??= await startPgBouncer(scene.server)
  return { scene, url: pooler.urlOf(scene.database.name) }
}

test('what is recorded through a pooler is relayed through it, once and in order', async (t) => {
  const { scene, url } = await stage(t)
  const namespace = 'pooled'
  await scene.database.query('update moca.deployment set namespace = $1', [namespace])
  const input = { namespace, redis: { url: redis.url }, postgres: { url } }
  const moca = createMoca(input)
  t.after(() => moca.close())
  const things = defineSubscription({ name: 'things', topics: ['shop.things'] })
  await new Subscriptions(await scene.connect(), 'moca').register(things)
  const invoice = defineJob({ type: 'invoice.send' })
  const events: number[] = []
  const jobs: unknown[] = []
  const handlers = [
    handleEvent(things, ({ event }) => {
      events.push((event.data as { n: number }).n)
    }),
    handle(invoice, ({ payload }) => {
      jobs.push(payload)
    }),
  ]
  const worker = createWorker(moca, { handlers, lease: '2s' })
  t.after(() => worker.stop())
  await worker.start()
  const interruptions: string[] = []
  const log = { ...silentLogger, warn: (...told: unknown[]) => interruptions.push(JSON.stringify(told)) }
  const stop = new AbortController()
  // Two of them, each with more than one session to meet statements of the other in.
  const relays = [1, 2].map(() => runOutboxProcess({ input, log, stop: stop.signal }))
  const end = async () => {
    stop.abort()
    await Promise.all(relays)
  }
  t.after(end)

  const client = new Client({ connectionString: url })
  await client.connect()
  t.after(() => client.end())
  for (let n = 1; n <= 40; n++) {
    await client.query('begin')
    await moca.outbox.record(client, 'shop.things', { type: 'thing.changed', key: 'a', data: { n } })
    await moca.outbox.enqueue(client, invoice, { n })
    await client.query(n % 4 === 0 ? 'rollback' : 'commit')
    // Passes of the relays lie between, and each may get another session.
    if (n % 4 === 0) await waitFor(() => events.length >= (n / 4) * 3, { describe: `event ${n - 1}` })
  }

  const committed = Array.from({ length: 40 }, (_, index) => index + 1).filter((n) => n % 4 !== 0)
  await waitFor(() => events.length >= committed.length && jobs.length >= committed.length, { describe: 'the rest' })
  await end() // before the database goes, for whose end a pooler's clients wait
  assert.deepEqual(events, committed)
  assert.equal(jobs.length, committed.length)
  assert.deepEqual(interruptions, [])
})

test('a pooler is told from a server', async (t) => {
  const { scene, url } = await stage(t)
  const pooled = await PostgresConnection.open({ url }, 'moca:test')
  t.after(() => pooled.destroy())
  const direct = await scene.connect()

  assert.deepEqual([pooled.isPooled, direct.isPooled], [true, false])
})

test('retention drops partitions through a pooler, and leaves no limit behind in its sessions', async (t) => {
  const { scene, url } = await stage(t)
  scene.relay(new LedgerSink()).start()
  await scene.record([{ key: 'a' }])
  const database = new Database({ url, name: 'moca:test' })
  t.after(() => database.close())
  const settings = { database, schema: 'moca', ageMs: 0, bytes: undefined, log: silentLogger }
  const moving = new Retention({ ...settings, partitionMs: 0 })
  await waitFor(async () => (await moving.runOnce()).moved, { describe: 'the log to move on' })
  await scene.record([{ key: 'a' }])

  const dropping = new Retention(settings)
  await waitFor(async () => (await dropping.runOnce()).dropped.includes(0), {
    timeoutMs: 15_000,
    describe: 'the partition to be dropped',
  })

  const sessions = await Promise.all(
    Array.from({ length: 3 }, () =>
      // Long enough for each to need a session of its own.
      database.query<{ limit: string }>(`select current_setting('lock_timeout') as limit, pg_sleep(0.05)`),
    ),
  )
  assert.deepEqual(new Set(sessions.flat().map(({ limit }) => limit)), new Set(['0']))
})
