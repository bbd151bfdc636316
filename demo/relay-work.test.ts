import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Client } from 'pg'
import { LedgerSink } from '../test/support/ledger-sink.ts'
import { outboxScenes } from '../test/support/outbox-scene.ts'
import { type RedisServer, startRedis } from '../test/support/redis-server.ts'
import { waitFor } from '../test/support/wait-for.ts'
import { openRaw, type RawRedis } from './raw-redis.ts'
import { isAllRelayed, underWayOf } from './relay-work.ts'

const NAMESPACE = 'worked'
const openScene = outboxScenes()

let server: RedisServer
let redis: RawRedis
before(async () => {
  server = await startRedis()
  redis = await openRaw(server.url)
})
after(async () => {
  redis.close()
  await server.stop()
})

test('a relay has work under way from the intent of a batch until Redis has its number', async (t) => {
  const scene = await openScene(t)
  const sql = new Client({ connectionString: scene.database.url })
  sql.on('error', () => {}) // the database is dropped before it ends
  await sql.connect()
  t.after(() => sql.end())
  assert.equal(await isAllRelayed(sql, redis, NAMESPACE), true, 'of nothing, all was relayed')
  const sink = new LedgerSink('queue')
  let isAway = true
  sink.intercept = () => (isAway ? { status: 'unavailable', reason: 'The test says so' } : undefined)
  scene.relay(sink).start()

  await scene.record([{ key: 'a' }])
  assert.equal(await isAllRelayed(sql, redis, NAMESPACE), false)
  await waitFor(async () => (await underWayOf(sql, redis, NAMESPACE, process.pid)) === 1, { describe: 'an intent' })
  assert.equal(await underWayOf(sql, redis, NAMESPACE, process.pid + 1), 0, 'it is no other process’s')
  assert.equal(await isAllRelayed(sql, redis, NAMESPACE), false)

  isAway = false
  await waitFor(() => sink.rows.length === 1, { describe: 'the event to arrive' })
  for (const [lane, { logId, n, epoch, digest }] of await sink.positions())
    await redis.send('HSET', `{moca:${NAMESPACE}}:relay`, lane, `${logId} ${n} ${epoch} 1 ${digest}`)
  assert.equal(await underWayOf(sql, redis, NAMESPACE, process.pid), 0)
  assert.equal(await isAllRelayed(sql, redis, NAMESPACE), true)
})
