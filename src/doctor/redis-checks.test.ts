import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type RedisServer, startRedis } from '../../test/support/redis-server.ts'
import { Connection } from '../redis/connection.ts'
import { readClockOffset, readServerFacts } from '../redis/server-facts.ts'
import { checkClock } from './clocks.ts'
import type { Diagnosis } from './diagnosis.ts'
import { checkMemory } from './redis-memory.ts'
import { checkPersistence } from './redis-persistence.ts'

let redis: RedisServer
before(async () => {
  redis = await startRedis()
})
after(() => redis.stop())

/** What the server says of itself just now. */
async function facts(user = '') {
  const connection = await Connection.open({ url: redis.url.replace('//', `//${user}`) }, 'test')
  try {
    return await readServerFacts(connection)
  } finally {
    connection.destroy()
  }
}

const brief = (diagnoses: readonly Diagnosis[]) => diagnoses.map(({ severity, found }) => `${severity}: ${found}`)

test('a Redis that keeps nothing on its disk is a problem, and each way to write to it is told apart', async () => {
  assert.match(brief(checkPersistence(await facts())).join(), /^problem: Redis keeps no append-only file/)
  await redis.cli(['CONFIG', 'SET', 'appendonly', 'yes'])
  assert.match(brief(checkPersistence(await facts())).join(), /^note: appendfsync is everysec/)
  await redis.cli(['CONFIG', 'SET', 'appendfsync', 'no'])
  assert.match(brief(checkPersistence(await facts())).join(), /^problem: .*appendfsync no/)
  await redis.cli(['CONFIG', 'SET', 'appendfsync', 'always'])
  assert.deepEqual(checkPersistence(await facts()), [])
})

test('a user that may not ask for appendfsync is a note', async () => {
  await redis.cli(['CONFIG', 'SET', 'appendonly', 'yes'])
  await redis.cli(['ACL', 'SETUSER', 'poor', 'on', '>secret', '~*', '+@all', '-config'])
  assert.match(brief(checkPersistence(await facts('poor:secret@'))).join(), /^note: Redis does not let this user ask/)
})

test('a Redis that cannot write to its disk is a problem', async () => {
  const found = { ...(await facts()), isWritingWell: false }
  assert.match(brief(checkPersistence(found)).join(), /^problem: Redis could not write/)
})

test('a Redis that is nearly full is a problem, one without a limit is none', async () => {
  assert.deepEqual(checkMemory(await facts()), [])
  const { usedBytes } = await facts()
  await redis.cli(['CONFIG', 'SET', 'maxmemory', String(usedBytes * 20)])
  assert.deepEqual(checkMemory(await facts()), [])
  await redis.cli(['CONFIG', 'SET', 'maxmemory', String(Math.round(usedBytes * 1.05))])
  assert.match(brief(checkMemory(await facts())).join(), /^problem: Redis uses \d+ % of its maxmemory/)
  await redis.cli(['CONFIG', 'SET', 'maxmemory', '0'])
})

test('clocks that differ by a second are a note, by more than ten a problem', async () => {
  const connection = await Connection.open({ url: redis.url }, 'test')
  assert.deepEqual(checkClock('Redis', await readClockOffset(connection)), [])
  connection.destroy()
  assert.deepEqual(brief(checkClock('Redis', -1_500)), ["note: The clock of Redis is 1.5 s behind this machine's."])
  assert.deepEqual(brief(checkClock('PostgreSQL', 60_000)), [
    "problem: The clock of PostgreSQL is 60.0 s ahead of this machine's.",
  ])
})
