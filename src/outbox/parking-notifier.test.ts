import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { LedgerSink } from '../../test/support/ledger-sink.ts'
import { outboxScenes } from '../../test/support/outbox-scene.ts'
import { waitFor } from '../../test/support/wait-for.ts'
import { ParkingNotifier } from './parking-notifier.ts'

const openScene = outboxScenes()

async function open(t: TestContext) {
  const scene = await openScene(t)
  const sink = new LedgerSink()
  sink.isBroken = ({ payload }) => payload.includes('"poison"')
  scene.relay(sink).start()
  const connection = await scene.connect()
  return {
    scene,
    sink,
    connection,
    notifier: new ParkingNotifier(connection, 'moca'),
    parked: (count: number) =>
      waitFor(async () => (await connection.query('select from moca.parked_key')).length === count),
    notifications: async () =>
      (
        await connection.query<{ payload: string }>(
          `select payload from moca.outbox where topic = 'moca.notifications' order by seq`,
        )
      ).map(
        ({ payload }) => JSON.parse(payload) as { event_type: string; source: string; data: Record<string, unknown> },
      ),
  }
}

test('a parked key is told once, by an event that is relayed like others', async (t) => {
  const it = await open(t)
  assert.equal(await it.notifier.runOnce(), 0)
  const [id] = await it.scene.record([{ key: 'a', data: 'poison' }, { key: 'a' }, { key: 'b' }])
  await it.parked(1)
  assert.equal(await it.notifier.runOnce(), 1)
  assert.equal(await it.notifier.runOnce(), 0)
  const [told] = await it.notifications()
  const { at, lane, ...data } = told?.data ?? {}
  assert.deepEqual([told?.event_type, told?.source], ['outbox.key_parked', 'moca'])
  assert.deepEqual(data, {
    sink: 'ledger',
    key: 'a',
    reason: 'unreadable',
    error: 'The test says so',
    topic: 'test.things',
    type: 'happened',
    id,
  })
  assert.ok(Date.parse(String(at)) > 0 && typeof lane === 'number')
  await waitFor(() => it.sink.rows.some(({ topic }) => topic === 'moca.notifications'))
})

test('several at once tell each key once', async (t) => {
  const it = await open(t)
  await it.scene.record(Array.from({ length: 20 }, (_, n) => ({ key: `k${n}`, data: 'poison' })))
  await it.parked(20)
  const notifiers = await Promise.all(
    Array.from({ length: 4 }, async () => new ParkingNotifier(await it.scene.connect(), 'moca')),
  )
  const told = await Promise.all(notifiers.map((notifier) => notifier.runOnce()))
  assert.equal(
    told.reduce((sum, count) => sum + count, 0),
    20,
  )
  const keys = (await it.notifications()).map(({ data }) => data.key)
  assert.equal(new Set(keys).size, 20)
  assert.equal(keys.length, 20)
})

test('a notification that is parked itself is not told of', async (t) => {
  const it = await open(t)
  await it.scene.record([{ topic: 'moca.notifications', key: 'n', data: 'poison' }])
  await it.parked(1)
  assert.equal(await it.notifier.runOnce(), 0)
  assert.equal(await it.notifier.runOnce(), 0)
  assert.equal((await it.notifications()).length, 1)
})

test('what cannot be recorded is told later', async (t) => {
  const it = await open(t)
  await it.scene.record([{ key: 'a', data: 'poison' }])
  await it.parked(1)
  await it.connection.query('update moca.deployment set max_bytes = 10')
  await assert.rejects(it.notifier.runOnce(), { sqlState: 'MO001' })
  await it.connection.query('update moca.deployment set max_bytes = 100000')
  assert.equal(await it.notifier.runOnce(), 1)
})
