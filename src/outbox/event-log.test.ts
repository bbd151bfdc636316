import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { outboxScenes } from '../../test/support/outbox-scene.ts'
import type { HistoryFilter } from '../events/event-history.ts'
import { EventLog } from './event-log.ts'

const openScene = outboxScenes()

async function open(t: TestContext) {
  const scene = await openScene(t)
  const connection = await scene.connect()
  const log = new EventLog(connection, 'moca')
  const record = async (...items: object[]) => {
    const list = items.map((item) => ({ topic: 'shop.orders', event_type: 't', ...item }))
    await connection.query('select moca.record($1)', [JSON.stringify(list)])
  }
  /** The data of what it reads, and how many pages that were. */
  const read = async (filter: Partial<HistoryFilter> = {}) => {
    const data: unknown[] = []
    let pages = 0
    for await (const rows of log.read({ topics: ['*'], since: new Date(0), ...filter })) {
      pages++
      data.push(...rows.map(({ payload }) => (JSON.parse(payload) as { data: unknown }).data))
    }
    return { data, pages }
  }
  const now = async () => {
    // In whole ms, and after all that was recorded.
    await connection.query('select pg_sleep(0.002)')
    const [row] = await connection.query<{ at: Date }>('select clock_timestamp() as at')
    return row?.at ?? assert.fail()
  }
  return { connection, record, read, now, log }
}

test('reads events in the order of recording, over lanes and pages, and no jobs', async (t) => {
  const it = await open(t)
  const count = 1_234
  await it.record({ topic: undefined, event_type: undefined, job: 'x', payload: 1 })
  for (let from = 0; from < count; from += 100) {
    const part = Array.from({ length: Math.min(100, count - from) }, (_, n) => ({ key: `k${n % 40}`, data: from + n }))
    await it.record(...part)
  }
  const { data, pages } = await it.read()
  assert.deepEqual(
    data,
    Array.from({ length: count }, (_, n) => n),
  )
  assert.equal(pages, 3)
})

test('reads by topic: by name, by beginning, and by that of a doctype', async (t) => {
  const it = await open(t)
  const change = { topic: 'moca.doc.events', site: 'acme', doctype: 'City', docname: 'Bern' }
  await it.record({ data: 1 }, { topic: 'shop.carts', data: 2 }, { topic: 'mail', data: 3 }, { ...change, data: 4 })
  const byTopic = async (...topics: string[]) => (await it.read({ topics })).data
  assert.deepEqual(await byTopic('*'), [1, 2, 3, 4])
  assert.deepEqual(await byTopic('shop.orders'), [1])
  assert.deepEqual(await byTopic('shop.*', 'mail'), [1, 2, 3])
  assert.deepEqual(await byTopic('moca.cdc.acme.*'), [4])
  assert.deepEqual(await byTopic('moca.cdc.acme.Town'), [])
  assert.deepEqual(await byTopic('nobody'), [])
})

test('reads a time, and a key', async (t) => {
  const it = await open(t)
  const instants: Date[] = []
  for (const data of [1, 2, 3]) {
    instants.push(await it.now())
    await it.record({ key: 'a', data }, { key: 'b', data: -data })
    // A relay writes ticks down, from which the place in the log is found.
    const [row] = await it.connection.query<{ low: number }>('select last_value as low from moca.outbox_seq')
    await it.connection.query('insert into moca.tick (snapshot, low, high) values (pg_current_snapshot(), $1, $1)', [
      row?.low,
    ])
  }
  const [, second, third] = instants as [Date, Date, Date]
  assert.deepEqual((await it.read({ since: second })).data, [2, -2, 3, -3])
  assert.deepEqual((await it.read({ until: second })).data, [1, -1])
  assert.deepEqual((await it.read({ since: second, until: third, key: 'b' })).data, [-2])
  assert.deepEqual((await it.read({ since: new Date(Date.now() + 60_000) })).data, [])
})
