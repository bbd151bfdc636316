import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { outboxScenes } from '../../test/support/outbox-scene.ts'
import { waitFor } from '../../test/support/wait-for.ts'
import { defineSubscription, type SubscriptionOptions } from '../events/subscription.ts'
import type { PostgresConnection } from '../postgres/connection.ts'
import type { Registration } from '../events/subscription-registry.ts'
import type { LogRow } from './log-row.ts'
import { Subscribers } from './subscribers.ts'
import { Subscriptions } from './subscriptions.ts'

const openScene = outboxScenes()

async function open(t: TestContext) {
  const scene = await openScene(t)
  const connection = await scene.connect()
  return {
    connection,
    subscriptions: new Subscriptions(connection, 'moca'),
    connect: () => scene.connect(),
    /** Who gets events, as a relay knows it that has just begun. */
    relay: async (announcesDoctypes = false) => {
      const [row] = await connection.query<{ log_id: string }>('select log_id from moca.deployment')
      return new Subscribers(connection, { schema: 'moca', logId: row?.log_id ?? '', announcesDoctypes })
    },
  }
}

const subscription = (name: string, options: Partial<SubscriptionOptions> = {}) =>
  defineSubscription({ name, topics: ['shop.orders'], ...options })

type Connection = Pick<PostgresConnection, 'query'>

const record = (connection: Connection, event: object = {}) =>
  connection.query('select moca.record($1)', [
    JSON.stringify({ topic: 'shop.orders', event_type: 'order.paid', ...event }),
  ])

/** All rows of the log, in order. */
async function rowsOf(connection: Connection): Promise<LogRow[]> {
  const rows = await connection.query<{ [name in keyof LogRow]: LogRow[name] | null }>(`
    select seq, lane, xid::text, 'event' as kind, topic, type, site, doctype, key, id, options, bytes, payload
    from moca.outbox order by seq`)
  return rows.map(
    (row) =>
      Object.fromEntries(Object.entries(row).map(([name, value]) => [name, value ?? undefined])) as unknown as LogRow,
  )
}

test('lists whom it registered, and the set of each version stays what it was', async (t) => {
  const it = await open(t)
  const { subscriptions } = it
  assert.deepEqual(await subscriptions.list(), { version: 0, subscriptions: [], ended: [] })
  assert.deepEqual(await subscriptions.register(subscription('b')), { status: 'registered', version: 1 })
  assert.deepEqual(await subscriptions.register(subscription('b')), { status: 'unchanged', version: 1 })
  assert.deepEqual(await subscriptions.register(subscription('a', { queue: 'long' })), {
    status: 'registered',
    version: 2,
  })
  assert.deepEqual(await subscriptions.register(subscription('b', { types: ['x'] })), { status: 'changed', version: 3 })
  const { version, subscriptions: listed } = await subscriptions.list()
  assert.equal(version, 3)
  assert.deepEqual(
    listed.map(({ name, since, queue, types }) => ({ name, since, queue, types })),
    [
      { name: 'a', since: 2, queue: 'long', types: undefined },
      { name: 'b', since: 1, queue: 'default', types: ['x'] },
    ],
  )
  assert.equal(await subscriptions.unregister('b'), true)
  assert.equal(await subscriptions.unregister('b'), false)
  assert.deepEqual(
    (await subscriptions.list()).subscriptions.map(({ name }) => name),
    ['a'],
  )
  assert.deepEqual((await subscriptions.list()).ended, ['b'])
  await subscriptions.register(subscription('b'))
  assert.deepEqual((await subscriptions.list()).ended, [])
  await record(it.connection)
  const [row] = await rowsOf(it.connection)
  assert.ok(row)
  const types: string[][] = []
  for (const each of [0, 1, 2, 3, 4, 5]) {
    const set = await (await it.relay()).at(each)
    types.push(set.jobsFor(row, 1).map(({ type }) => type))
  }
  // With version 3, b asks for another type; with 4 it is gone; with 5 it is back, and the row came after that.
  assert.deepEqual(types, [[], ['event:b'], ['event:a', 'event:b'], ['event:a'], ['event:a'], ['event:a', 'event:b']])
})

test('gets what was not committed when it was registered, whenever it began', async (t) => {
  const it = await open(t)
  const writers = [await it.connect(), await it.connect()]
  const [early, late] = writers as [PostgresConnection, PostgresConnection]
  await record(it.connection, { key: 'committed before' })
  for (const writer of writers) await writer.query('begin')
  await record(early, { key: 'open, recorded before' })
  await late.query('select pg_current_xact_id()')
  await it.subscriptions.register(subscription('s'))
  await record(late, { key: 'open, recorded after' })
  for (const writer of writers) await writer.query('commit')
  await record(it.connection, { key: 'begun after' })
  const set = await (await it.relay()).at(1)
  const rows = await rowsOf(it.connection)
  assert.equal(rows.length, 4)
  assert.deepEqual(
    rows.filter((row) => set.jobsFor(row, 1).length > 0).map(({ key }) => key),
    ['open, recorded before', 'open, recorded after', 'begun after'],
  )
})

test('what is changed later does not move its start', async (t) => {
  const it = await open(t)
  await it.subscriptions.register(subscription('s'))
  await record(it.connection)
  await it.subscriptions.register(subscription('s', { sites: ['acme'] }))
  await it.subscriptions.register(subscription('s', { types: ['order.paid'] }))
  const [row] = await rowsOf(it.connection)
  assert.ok(row)
  assert.equal((await (await it.relay()).at(3)).jobsFor(row, 1).length, 1)
})

test('waits for batches that are being intended, and not where nothing changes', async (t) => {
  const it = await open(t)
  await it.subscriptions.register(subscription('s'))
  const relay = await it.connect()
  await relay.query('begin')
  await relay.query('select pg_advisory_xact_lock_shared(moca.subscription_lock())')
  assert.equal((await it.subscriptions.register(subscription('s'))).status, 'unchanged')
  let isRegistered = false
  const another = new Subscriptions(await it.connect(), 'moca')
  const registering = another.register(subscription('t')).then((registration) => {
    isRegistered = true
    return registration
  })
  await waitFor(
    async () =>
      (await it.connection.query(`select from pg_locks where locktype = 'advisory' and not granted`)).length > 0,
  )
  assert.equal(isRegistered, false)
  await relay.query('commit')
  assert.equal((await registering).status, 'registered')
})

test('many that register at once all get a version of their own', async (t) => {
  const it = await open(t)
  const names = ['a', 'b', 'c', 'd', 'e', 'f']
  const registering: Promise<Registration>[] = []
  // Each name twice, from connections of their own.
  for (const name of [...names, ...names]) {
    const registry = new Subscriptions(await it.connect(), 'moca')
    registering.push(registry.register(subscription(name)))
  }
  const registered = (await Promise.all(registering)).filter(({ status }) => status === 'registered')
  assert.deepEqual(new Set(registered.map(({ version }) => version)), new Set([1, 2, 3, 4, 5, 6]))
  assert.equal(registered.length, names.length)
  assert.equal((await it.subscriptions.list()).subscriptions.length, names.length)
})

test('a row has the same jobs whoever asks and how often, and others after a new registration', async (t) => {
  const it = await open(t)
  await it.subscriptions.register(subscription('s'))
  await record(it.connection, { key: 'k', headers: { traceparent: '00' } })
  const [row] = (await rowsOf(it.connection)) as [LogRow]
  const relay = await it.relay()
  const jobs = (await relay.at(1)).jobsFor(row, 1)
  assert.deepEqual(
    jobs.map(({ queue, key, payload }) => ({ queue, key, payload })),
    [{ queue: 'default', key: 's/k', payload: row.payload }],
  )
  await it.subscriptions.register(subscription('s', { types: ['order.paid'] }))
  for (const each of [relay, await it.relay()]) {
    for (const version of [1, 2]) assert.deepEqual((await each.at(version)).jobsFor(row, 1), jobs)
  }
  const other = await it.connect()
  await other.query('begin')
  await record(other, { key: 'k' })
  await it.subscriptions.unregister('s')
  await it.subscriptions.register(subscription('s'))
  await other.query('commit')
  const [, late] = (await rowsOf(it.connection)) as [LogRow, LogRow]
  // It was open then and now: the row belongs to both registrations, and its jobs must not be taken for one another.
  const [before] = (await relay.at(2)).jobsFor(late, 1)
  const [now] = (await relay.at(4)).jobsFor(late, 1)
  assert.ok(before && now && before.place !== now.place)
})

for (const announcesDoctypes of [false, true]) {
  test(`a change of a document is ${announcesDoctypes ? '' : 'not '}announced by its doctype, and subscriptions know it so always`, async (t) => {
    const it = await open(t)
    await it.subscriptions.register(subscription('s', { topics: ['moca.cdc.acme.*'] }))
    await record(it.connection, { topic: 'moca.doc.events', site: 'acme', doctype: 'City', docname: 'Bern' })
    await record(it.connection)
    const set = await (await it.relay(announcesDoctypes)).at(1)
    const [change, other] = (await rowsOf(it.connection)) as [LogRow, LogRow]
    assert.deepEqual(
      set.topicsOf(change),
      announcesDoctypes ? ['moca.doc.events', 'moca.cdc.acme.City'] : ['moca.doc.events'],
    )
    assert.deepEqual(set.topicsOf(other), ['shop.orders'])
    assert.deepEqual([set.jobsFor(change, 1).length, set.jobsFor(other, 1).length], [1, 0])
  })
}

test('a definition that cannot be read is named, and nothing is sent past it', async (t) => {
  const it = await open(t)
  await it.subscriptions.register(subscription('s'))
  await it.connection.query(`update moca.subscription set definition = '{"topics": 5}'`)
  await assert.rejects((await it.relay()).at(1), { message: /topics of subscription s must be a list/ })
})

test('refuses one more than a thousand, and changes and ends those that are there', async (t) => {
  const { connection, subscriptions } = await open(t)
  await connection.query(`
    insert into moca.subscription (name, from_version, since, definition, start_snapshot, start_high)
    select 's' || n, n, n, '{"topics":["t"],"queue":"default","onDead":"block"}', pg_current_snapshot(), 0 from generate_series(1, 1000) n`)
  await assert.rejects(subscriptions.register(subscription('one-more')), {
    code: 'option_invalid',
    message: /one-more cannot be registered: there are 1000 already, .* moca events unsubscribe NAME/,
  })
  assert.equal((await subscriptions.register(subscription('s7'))).status, 'changed')
  assert.equal(await subscriptions.unregister('s8'), true)
  assert.equal((await subscriptions.register(subscription('one-more'))).status, 'registered')
})
