import assert from 'node:assert/strict'
import { after, before, test, type TestContext } from 'node:test'
import { LedgerSink } from '../../test/support/ledger-sink.ts'
import { OutboxScene } from '../../test/support/outbox-scene.ts'
import { type PostgresServer, startPostgres } from '../../test/support/postgres-server.ts'
import { waitFor } from '../../test/support/wait-for.ts'
import { OutboxReader } from '../outbox/outbox-status.ts'
import { readClockOffset } from '../postgres/clock-offset.ts'
import { Database } from '../postgres/database.ts'
import { checkClock } from './clocks.ts'
import type { Diagnosis } from './diagnosis.ts'
import { checkLanes } from './lanes.ts'
import { checkParkedKeys } from './parked-keys.ts'
import { checkPartitions } from './partitions.ts'
import { checkResent } from './resent.ts'
import { checkRetention } from './retention.ts'
import { checkSchema } from './schema.ts'

let server: PostgresServer
before(async () => {
  server = await startPostgres()
})
after(() => server.stop())

const brief = (diagnoses: readonly Diagnosis[]) => diagnoses.map(({ severity, found }) => `${severity}: ${found}`)
const WANTED = { schema: 'moca', namespace: 'test', maxBytes: 1_048_576 }

function use(t: TestContext, url: string): Database {
  const database = new Database({ url, name: 'moca:test' })
  t.after(() => database.close())
  return database
}

async function openScene(t: TestContext) {
  const scene = await OutboxScene.open(t, server)
  const database = use(t, scene.database.url)
  return { scene, database, status: () => new OutboxReader(database, 'moca').status() }
}

test('a schema that is missing is a problem, which migrating mends; that of another namespace is left alone', async (t) => {
  const database = use(t, (await server.createDatabase(t)).url)
  assert.deepEqual(checkClock('PostgreSQL', await readClockOffset(database)), [])
  const [missing] = await checkSchema(database, WANTED)
  assert.match(missing?.found ?? '', /There is no schema moca/)
  assert.match((await missing?.mend?.()) ?? '', /^Applied migrations 1 \(log\), 2 \(record\)/)
  assert.deepEqual(await checkSchema(database, WANTED), [])
  const [foreign] = await checkSchema(database, { ...WANTED, namespace: 'other' })
  assert.match(foreign?.found ?? '', /belongs to namespace test, not to other/)
  assert.equal(foreign?.mend, undefined)
})

test('a log without partitions ahead is a problem, which adding them mends', async (t) => {
  const { scene, database } = await openScene(t)
  assert.deepEqual(await checkPartitions(database, 'moca'), [])
  await scene.database.query(`select setval('moca.outbox_seq', 2 * 100000000000)`)
  const [found] = await checkPartitions(database, 'moca')
  assert.match(found?.found ?? '', /has 0 of 2 partitions ahead/)
  assert.equal(await found?.mend?.(), 'Added partitions 3, 4 to the log.')
  assert.deepEqual(await checkPartitions(database, 'moca'), [])
})

test('a partition that is due and cannot be dropped is a problem that says why', async (t) => {
  const { scene, database } = await openScene(t)
  await scene.record([{ key: 'a' }])
  assert.deepEqual(await checkRetention(database, 'moca', { ageMs: 0, bytes: undefined }), [])
  await waitFor(
    async () => (await scene.database.query<{ word: string }>(`select moca.move_on('0') as word`))[0]?.word === 'moved',
    { describe: 'the log to move on' },
  )
  assert.deepEqual(brief(await checkRetention(database, 'moca', { ageMs: 3_600_000, bytes: undefined })), [])
  assert.match(
    brief(await checkRetention(database, 'moca', { ageMs: 0, bytes: undefined })).join(),
    /^problem: Partition 0 of the log is due to be dropped, and must stay: /,
  )
})

test('lanes: nobody ever relayed is a note; without an owner, or standing still, they are problems', async (t) => {
  const { scene, status } = await openScene(t)
  assert.match(brief(checkLanes(await status())).join(), /^note: Nobody has ever relayed this log/)
  const sink = new LedgerSink()
  const relay = scene.relay(sink, { redriveMaxMs: 0 })
  relay.start()
  for (const count of [1, 2]) {
    await scene.record([{ key: 'a' }])
    await waitFor(() => sink.ids.length === count, { describe: 'the event' })
  }
  assert.deepEqual(checkLanes(await status()), [])

  sink.forget(sink.rows[0]?.lane ?? -1)
  const standing = await waitFor(
    async () => {
      const found = brief(checkLanes(await status()))
      return found.length > 0 ? found : undefined
    },
    { describe: 'a lane to stand still', timeoutMs: 15_000 },
  )
  assert.match(standing.join(), /^problem: Sink ledger: lane \d+ stands still since .*\(forgot\)/)

  await relay.stop()
  assert.match(
    brief(checkLanes(await status())).join('\n'),
    /problem: Sink ledger: nobody relays 16 of 16 lanes; \d+ rows? waits?\./,
  )
})

test('a copied log is a problem', async (t) => {
  const { scene, status } = await openScene(t)
  await scene.database.query('update moca.deployment set system_identifier = 1')
  assert.match(brief(checkLanes(await status())).join(), /^problem: The log was copied to another PostgreSQL/)
})

test('a parked key is a problem, until it is free', async (t) => {
  const { scene, status } = await openScene(t)
  const sink = new LedgerSink()
  sink.isBroken = (row) => row.payload.includes('"poison"')
  scene.relay(sink).start()
  assert.deepEqual(checkParkedKeys(await status()), [])
  await scene.record([
    { key: 'a', data: 'poison' },
    { key: 'a', data: 'behind it' },
  ])
  await waitFor(
    async () =>
      /^problem: Sink ledger: 1 key is parked, with 2 rows\.$/.test(brief(checkParkedKeys(await status())).join()),
    { describe: 'the key to be parked' },
  )
  await scene.database.query(`update moca.parked_key set wish = 'discard'`)
  await waitFor(async () => checkParkedKeys(await status()).length === 0, { describe: 'the key to be free' })
})

test('what was sent again is a note', async (t) => {
  const { scene, status } = await openScene(t)
  assert.deepEqual(checkResent(await status()), [])
  await scene.database.query(`insert into moca.resent (sink, lane, from_n, upto_n, rows) values ('queue', 3, 1, 2, 5)`)
  assert.match(brief(checkResent(await status())).join(), /^note: Sink queue forgot 5 rows, and relays sent them again/)
})
