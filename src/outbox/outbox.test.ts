import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { outboxScenes } from '../../test/support/outbox-scene.ts'
import { ConfigError, OptionError, PayloadError } from '../errors.ts'
import type { EventInput } from '../events/event.ts'
import type { EnqueueOptions } from '../job/enqueue-options.ts'
import { defineJob } from '../job/job.ts'
import { parseJobId } from '../job/job-id.ts'
import { judgeOptions } from '../queue/entry.ts'
import { Outbox } from './outbox.ts'
import type { SqlExecutor } from './sql-executor.ts'

const openScene = outboxScenes()
const outbox = new Outbox({ schema: 'moca', source: 'shop', maxBytes: 1_048_576 })

const sendInvoice = defineJob({
  type: 'invoice.send',
  payload: z.object({ orderId: z.string() }),
  queue: 'critical',
})

interface Row {
  readonly kind: string
  readonly topic: string
  readonly type: string
  readonly key: string | null
  readonly id: string
  readonly options: string | null
  readonly due_ms: number | null
  readonly payload: string
}

/** For what must be refused before anything is sent. */
const nothingSent: SqlExecutor = {
  query: async () => {
    throw new Error('A statement was sent')
  },
}

test('records an event with all that it says', async (t) => {
  const { database } = await openScene(t)
  const id = await outbox.record(database, 'shop.orders', {
    type: 'order.paid',
    data: { total: 12.5, at: new Date(0), nothing: undefined },
    prevData: null,
    site: 'acme',
    doctype: 'Order',
    docname: '42',
    action: 'paid',
    user: 'ada',
    requestId: 'r-1',
    headers: { traceparent: '00-1' },
  })
  const [row] = await database.query<Row>('select * from moca.outbox')
  assert.equal(row?.id, id)
  const { timestamp, ...envelope } = JSON.parse(row?.payload ?? '')
  assert.ok(Date.now() - Date.parse(timestamp) < 60_000)
  assert.deepEqual(envelope, {
    event_id: id,
    event_type: 'order.paid',
    source: 'shop',
    site: 'acme',
    doctype: 'Order',
    docname: '42',
    action: 'paid',
    user: 'ada',
    data: { total: 12.5, at: '1970-01-01T00:00:00.000Z' },
    prev_data: null,
    request_id: 'r-1',
  })
  assert.deepEqual([row?.topic, row?.key, row?.options], ['shop.orders', 'acme:Order:42', '{"traceparent":"00-1"}'])
})

test('records events in the order of their list, with an id for each', async (t) => {
  const { database } = await openScene(t)
  const events = ['a', 'b', 'c'].map((key) => ({ type: 'e', key, source: key }))
  const ids = await outbox.record(database, 't', events)
  const rows = await database.query<Row>('select * from moca.outbox order by seq')
  assert.deepEqual(
    rows.map(({ id, key, payload }) => ({ id, key, source: JSON.parse(payload).source })),
    ids.map((id, index) => ({ id, key: 'abc'[index], source: 'abc'[index] })),
  )
  assert.deepEqual(await outbox.record(nothingSent, 't', []), [])
})

const OPTIONS: readonly [name: string, options: EnqueueOptions, entry: object, dueMs?: number | null][] = [
  ['none', {}, {}],
  ['a key', { key: 'customer:7' }, { k: 'customer:7' }],
  ['headers', { headers: { a: '"\n' } }, { h: JSON.stringify({ a: '"\n' }) }],
  [
    'overrides of the contract',
    { expiresIn: '1h', timeout: '30s', attempts: 3, retry: { backoff: 'fixed', delay: '5s' }, keep: { completed: 0 } },
    { x: 3_600_000, tm: 30_000, n: 3, rt: { b: 'fixed', d: 5_000 }, kc: 0 },
  ],
  ['an instant', { runAt: new Date(1_800_000_000_123) }, {}, 1_800_000_000_123],
  ['an instant before 1970', { runAt: new Date(-1) }, {}, -1],
]

test('records a job with the options that enqueue would give its entry', async (t) => {
  const { database } = await openScene(t)
  for (const [name, options, entry, dueMs = null] of OPTIONS) {
    const { id, status } = await outbox.enqueue(database, sendInvoice, { orderId: '42' }, options)
    assert.equal(status, 'recorded')
    const [row] = await database.query<Row>('select *, due_ms::float from moca.outbox where id = $1', [id])
    assert.ok(row, name)
    assert.deepEqual(judgeOptions(row.options ?? ''), { options: { i: parseJobId(id)?.place, ...entry } }, name)
    const { kind, topic, type, payload } = row
    assert.deepEqual(
      { kind, topic, type, payload },
      {
        kind: 'j',
        topic: 'critical',
        type: 'invoice.send',
        payload: '{"orderId":"42"}',
      },
    )
    assert.equal(row.due_ms, dueMs, name)
  }
  const { id } = await outbox.enqueue(
    database,
    sendInvoice,
    { orderId: '1' },
    { queue: 'long', delay: '1m', lock: true },
  )
  const [row] = await database.query<Row & { wait: number }>(
    'select *, due_ms - extract(epoch from at)::float * 1000 as wait from moca.outbox where id = $1',
    [id],
  )
  assert.equal(row?.topic, 'long')
  assert.ok(Math.abs((row?.wait ?? 0) - 60_000) < 2)
})

test('a job that its schema refuses, or JSON cannot carry, is refused before the statement', async () => {
  const enqueue = (payload: unknown, options?: object) =>
    outbox.enqueue(nothingSent, sendInvoice, payload as { orderId: string }, options)
  await assert.rejects(enqueue({ orderId: 42 }), (error) => {
    assert.ok(error instanceof PayloadError && error.code === 'payload_invalid')
    assert.match(error.message, /does not fit its schema: orderId/)
    return true
  })
  const untyped = defineJob({ type: 'any' })
  const circle: { self?: unknown } = {}
  circle.self = circle
  for (const payload of [circle, 1n, { n: 1n }, undefined, () => {}, Symbol('s')]) {
    await assert.rejects(outbox.enqueue(nothingSent, untyped, payload), PayloadError)
  }
  const tooLarge = new Outbox({ schema: 'moca', source: undefined, maxBytes: 10 }).enqueue(
    nothingSent,
    untyped,
    'x'.repeat(9),
  )
  await assert.rejects(tooLarge, { code: 'payload_too_large', message: /limit is 10 \(option outbox\.maxBytes\)/ })
  const noJob = outbox.enqueue(nothingSent, {} as typeof untyped, {})
  await assert.rejects(
    noJob,
    (error) => error instanceof ConfigError && /outbox\.enqueue takes a job/.test(error.message),
  )
})

const REFUSED_OPTIONS: readonly [options: object, message: RegExp][] = [
  [{ idempotencyKey: 'a' }, /takes no idempotencyKey: .* unique constraint/],
  [{ delay: '5m', runAt: new Date() }, /either delay or runAt/],
  [{ dealy: '5m' }, /outbox\.enqueue has no option dealy\. Did you mean delay\?/i],
  [{ maxDelay: '5m' }, /belongs into retry/],
  [{ key: '' }, /key must be a text of 1 to 200/],
  [{ queue: 'A' }, /queue name/i],
  [{ lock: 1 }, /lock must be true or false; found 1/],
]

test('options of a job that cannot be used are refused before the statement', async () => {
  for (const [options, message] of REFUSED_OPTIONS) {
    const refused = outbox.enqueue(nothingSent, sendInvoice, { orderId: '1' }, options)
    await assert.rejects(refused, (error) => {
      assert.ok(error instanceof OptionError)
      assert.match(error.message, message)
      return true
    })
  }
})

test('an event that cannot be used is refused before the statement, and its place in a list is told', async () => {
  const record = (event: object, options?: object) => outbox.record(nothingSent, 't', event as EventInput, options)
  await assert.rejects(record({ type: '' }), { code: 'option_invalid', message: /type of an event/ })
  await assert.rejects(record({ type: 'e', dta: 1 }), { message: /no field dta\. Did you mean data/ })
  await assert.rejects(record({ type: 'e', data: 1n }), { code: 'payload_invalid' })
  await assert.rejects(record({ type: 'e' }, { lok: true }), { message: /no option lok\. Known is lock/ })
  await assert.rejects(outbox.record(nothingSent, 'a b', { type: 'e' }), { message: /topic/i })
  await assert.rejects(outbox.record(nothingSent, 't', [{ type: 'e' }, { type: '' }]), {
    message: /^events\[1\]: type of an event/,
    facts: { option: 'type', found: '', index: 1 },
  })
  const small = new Outbox({ schema: 'moca', source: undefined, maxBytes: 200 })
  await assert.rejects(small.record(nothingSent, 't', { type: 'e', data: 'ä'.repeat(100) }), {
    code: 'payload_too_large',
    message: /limit is 200 \(option outbox\.maxBytes\)/,
  })
})

test('what PostgreSQL cannot read is refused before the statement, by its place', async (t) => {
  const { database } = await openScene(t)
  const untyped = defineJob({ type: 'any' })
  const record = (data: unknown) => outbox.record(nothingSent, 't', { type: 'e', data })
  await assert.rejects(record({ lines: ['fine', 'a\0b'] }), {
    code: 'payload_invalid',
    message: /The event e has the character U\+0000 or half a surrogate pair at data\.lines\.1;/,
  })
  await assert.rejects(record('🦀'.slice(0, 1)), { message: /at data;/ })
  await assert.rejects(record({ 'a\0': 1 }), { message: /at data\.\(a name\);/ })
  await assert.rejects(outbox.enqueue(nothingSent, untyped, '\udfff'), { message: /The payload of any has .* pair;/ })
  await assert.rejects(outbox.enqueue(nothingSent, untyped, 1, { headers: { a: '\0' } }), { message: /headers of any/ })
  // What only looks like it.
  const innocent = ['\\u0000', '\\ud83d', '\\\\u0000', '🦀', '\ufffd']
  await outbox.record(database, 't', { type: 'e', data: innocent })
  const [row] = await database.query<Row>('select * from moca.outbox')
  assert.deepEqual(JSON.parse(row?.payload ?? '').data, innocent)
})

test('a refusal of the function becomes the error that a check before it would have been', async (t) => {
  const { database } = await openScene(t)
  await database.query('update moca.deployment set max_bytes = 400')
  const events = [{ type: 'small' }, { type: 'large', data: 'x'.repeat(400) }]
  await assert.rejects(outbox.record(database, 't', events), (error) => {
    assert.ok(error instanceof PayloadError)
    assert.match(error.message, /^item 1: the event has \d+ bytes; the limit is 400\. Record a reference/)
    assert.deepEqual({ ...error.facts, bytes: 0 }, { option: 'data', index: 1, bytes: 0, limit: 400 })
    assert.equal((error.cause as { code: string }).code, 'MO001')
    return true
  })
  await assert.rejects(outbox.enqueue(database, sendInvoice, { orderId: 'x'.repeat(400) }), (error) => {
    assert.ok(error instanceof PayloadError && error.code === 'payload_too_large')
    assert.deepEqual(error.facts, { type: 'invoice.send', option: 'payload', bytes: 414, limit: 400 })
    return true
  })
  await database.query(`alter database ${database.name} set moca.site = '${'s'.repeat(500)}'`)
  await assert.rejects(outbox.record(database, 't', { type: 'e', doctype: 'd', docname: 'n' }), (error) => {
    assert.ok(error instanceof OptionError)
    assert.match(error.message, /^site, doctype and docname have 504 characters together.* Give a key/)
    assert.deepEqual(error.facts, { type: 'e', option: 'key' })
    return true
  })
})

test('any other error of the database comes back as it is', async (t) => {
  const { database } = await openScene(t)
  const elsewhere = new Outbox({ schema: 'no such "schema"', source: undefined, maxBytes: 1_000 })
  await assert.rejects(elsewhere.record(database, 't', { type: 'e' }), { code: '3F000' })
})

test('what cannot run a statement is refused, and where there is an adapter, it is named', async () => {
  const record = (tx: unknown) => outbox.record(tx as SqlExecutor, 't', { type: 'e' })
  for (const [tx, named] of [
    [undefined, /Found undefined/],
    [{ query: 'select' }, /adapters like fromKysely/],
    [{ executeQuery: () => {}, isTransaction: true }, /fromKysely of mocajs\/kysely/],
    [{ $queryRawUnsafe: () => {} }, /fromPrisma of mocajs\/prisma/],
    [Object.assign(() => {}, { savepoint: () => {}, unsafe: () => {} }), /fromPostgres of mocajs\/postgres/],
    [Object.assign(() => {}, { raw: () => {} }), /fromKnex of mocajs\/knex/],
    [{ query: {}, execute: () => {} }, /fromDrizzle of mocajs\/drizzle/],
  ] as const) {
    await assert.rejects(record(tx), (error) => {
      assert.ok(error instanceof OptionError)
      assert.match(error.message, named)
      return true
    })
  }
  await assert.rejects(record({ query: async () => ({}) }), /must resolve with rows, or { rows }; found an object/)
  await assert.rejects(record({ query: async () => [] }), /must resolve with rows/)
})

test('hooks run around what is recorded, and say so', async (t) => {
  const { database } = await openScene(t)
  const calls: unknown[] = []
  const hooked = new Outbox({
    schema: 'moca',
    source: undefined,
    maxBytes: 1_000,
    hooks: {
      enqueue: [
        {
          owner: 'the configuration',
          run: ({ job, queue, items, isRecorded }, next) => {
            calls.push([job.type, queue, items.length, isRecorded])
            return next(items.map((item) => ({ ...item, headers: { site: 'acme' } })))
          },
        },
      ],
      publish: [
        {
          owner: 'the configuration',
          run: ({ topic, events, isRecorded }, next) => {
            calls.push([topic, events.length, isRecorded])
            return next(events.map((event) => ({ ...event, user: 'ada' })))
          },
        },
      ],
    },
  })
  await hooked.enqueue(database, sendInvoice, { orderId: '42' }, { queue: 'long', key: 'k', lock: true })
  await hooked.record(database, 'shop.orders', { type: 'order.paid' })
  await hooked.record(database, 'shop.orders', [{ type: 'a' }, { type: 'b' }])
  assert.deepEqual(calls, [
    ['invoice.send', 'long', 1, true],
    ['shop.orders', 1, true],
    ['shop.orders', 2, true],
  ])
  const rows = await database.query<Row>('select * from moca.outbox order by seq')
  const { i: _id, ...options } = JSON.parse(rows[0]?.options ?? '{}') as Record<string, unknown>
  assert.deepEqual(options, { k: 'k', h: '{"site":"acme"}' })
  assert.deepEqual(
    rows.slice(1).map(({ payload }) => JSON.parse(payload).user),
    ['ada', 'ada', 'ada'],
  )
})
