import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Client, type DatabaseError } from 'pg'
import { outboxScenes } from '../../test/support/outbox-scene.ts'
import type { TestDatabase } from '../../test/support/postgres-server.ts'
import { waitFor } from '../../test/support/wait-for.ts'
import { parseJobId } from '../job/job-id.ts'
import { judgeOptions } from '../queue/entry.ts'

// moca.record as any language calls it. What it makes of an event is held to test/conformance/event-cases.ts.

const openScene = outboxScenes()

interface Row {
  readonly seq: string
  readonly lane: number
  readonly xid: string
  readonly at: Date
  readonly kind: string
  readonly topic: string
  readonly type: string
  readonly site: string | null
  readonly doctype: string | null
  readonly key: string | null
  readonly id: string
  readonly options: string | null
  readonly due_ms: string | null
  readonly bytes: number
  readonly payload: string
}

const RECORD = 'select moca.record($1) as answer'

async function record(database: Pick<TestDatabase, 'query'>, request: unknown): Promise<string> {
  const text = typeof request === 'string' ? request : JSON.stringify(request)
  const [row] = await database.query<{ answer: string }>(RECORD, [text])
  return row?.answer as string
}

function rows(database: TestDatabase): Promise<Row[]> {
  return database.query<Row>('select *, xid::text from moca.outbox order by seq')
}

async function client(database: TestDatabase, t: { after(fn: () => Promise<void>): void }): Promise<Client> {
  const client = new Client({ connectionString: database.url })
  client.on('error', () => {}) // at the end of the test the database is dropped under it
  await client.connect()
  t.after(() => client.end())
  return client
}

async function refusalOf(recording: Promise<string>): Promise<DatabaseError> {
  try {
    await recording
  } catch (error) {
    return error as DatabaseError
  }
  throw new assert.AssertionError({ message: 'It was recorded' })
}

const EVENT = { topic: 't', event_type: 'e' }
const JOB = { job: 'j', payload: {} }

test('an event becomes a row with the facts by which relays sort it', async (t) => {
  const { database } = await openScene(t)
  const id = await record(database, { ...EVENT, site: 'acme', doctype: 'City', docname: 'Bern', data: 1 })
  const [row] = await rows(database)
  assert.ok(row)
  assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  const { kind, topic, type, site, doctype, key, options, due_ms } = row
  assert.deepEqual(
    { kind, topic, type, site, doctype, key, options, due_ms },
    {
      kind: 'e',
      topic: 't',
      type: 'e',
      site: 'acme',
      doctype: 'City',
      key: 'acme:City:Bern',
      options: null,
      due_ms: null,
    },
  )
  assert.equal(row.id, id)
  assert.equal(row.bytes, Buffer.byteLength(row.payload))
  // The id and the timestamp tell the same instant.
  const { timestamp } = JSON.parse(row.payload)
  assert.equal(Number.parseInt(id.replace('-', '').slice(0, 12), 16), new Date(timestamp).getTime())
  assert.equal(row.at.getTime(), new Date(timestamp).getTime())
})

test('a job becomes a row with the options of its entry', async (t) => {
  const { database } = await openScene(t)
  const id = await record(database, {
    job: 'invoice.send',
    queue: 'critical',
    payload: { orderId: '42' },
    key: 'customer:7',
    headers: { traceparent: '00-1' },
    expires_in_ms: 60_000,
    attempts: 3,
    timeout_ms: 0,
  })
  const [row] = await rows(database)
  assert.ok(row)
  const place = parseJobId(id)?.place
  assert.equal(id, `critical.0.${place}`)
  assert.equal(row.id, id)
  const { kind, topic, type, key, site, doctype, payload, due_ms } = row
  assert.deepEqual(
    { kind, topic, type, key, site, doctype, payload, due_ms },
    {
      kind: 'j',
      topic: 'critical',
      type: 'invoice.send',
      key: 'customer:7',
      site: null,
      doctype: null,
      payload: '{"orderId":"42"}',
      due_ms: null,
    },
  )
  assert.ok(row.options?.startsWith(`{"i":"${place}"`))
  const { options, flaw } = judgeOptions(row.options ?? '')
  assert.equal(flaw, undefined)
  assert.deepEqual(options, { i: place, k: 'customer:7', h: '{"traceparent":"00-1"}', x: 60_000, n: 3, tm: 0 })
  assert.equal(row.bytes, Buffer.byteLength(row.payload) + Buffer.byteLength(row.options ?? ''))
})

const ENTRIES: readonly [name: string, request: object | string, expected: object][] = [
  ['nothing more', {}, {}],
  ['a key with quotes, line breaks and an emoji', { key: '"\n\\/\u0001🦀' }, { k: '"\n\\/\u0001🦀' }],
  ['headers with what JSON escapes', { headers: { a: '"\n/🦀' } }, { h: JSON.stringify({ a: '"\n/🦀' }) }],
  [
    'what a client library encodes',
    { options: { n: 3, x: 5, tm: 7, kc: 0, b: 1 } },
    { n: 3, x: 5, tm: 7, kc: 0, b: 1 },
  ],
  [
    'retries that a client library encodes',
    { options: { rt: { b: 'fixed', d: 1, m: 2, j: 0.5 } } },
    { rt: { b: 'fixed', d: 1, m: 2, j: 0.5 } },
  ],
  ['no options', { options: {} }, {}],
  [
    'a whole number that is written as a fraction',
    '{"job":"j","payload":{},"attempts":3.0,"timeout_ms":1e3}',
    { n: 3, tm: 1000 },
  ],
  [
    'a request with line breaks and tabs',
    '{\n\t"job": "j",\n\t"payload": {\n\t\t"a": 1 },\n\t"headers": {\n\t\t"a":\t"b" },\n\t"options": {\n\t\t"rt": {\n\t\t\t"d": 5\n\t\t}\n\t}\n}',
    { h: '{\n\t\t"a":\t"b" }', rt: { d: 5 } },
  ],
]

test('the queue takes the options of every job for undamaged', async (t) => {
  const { database } = await openScene(t)
  for (const [name, request, expected] of ENTRIES) {
    const id = await record(database, typeof request === 'string' ? request : { ...JOB, ...request })
    const [row] = await database.query<Row>('select * from moca.outbox where id = $1', [id])
    const { options, flaw } = judgeOptions(row?.options ?? '')
    assert.equal(flaw, undefined, name)
    assert.deepEqual(options, { i: parseJobId(id)?.place, ...expected }, name)
  }
})

test('a delay counts from the instant of recording, and an instant is kept', async (t) => {
  const { database } = await openScene(t)
  const before = Date.now()
  await record(database, { ...JOB, delay_ms: 5_000 })
  const after = Date.now()
  await record(database, { ...JOB, run_at: 1_800_000_000_123 })
  await record(database, { ...JOB, run_at: '2027-01-15T09:00:00.5+01:00' })
  await record(database, { ...JOB, run_at: '1969-12-31T23:59:59Z' })
  const [delayed = 0, ...instants] = (await rows(database)).map(({ due_ms }) => Number(due_ms))
  assert.ok(delayed >= before + 5_000 && delayed <= after + 5_000)
  assert.deepEqual(instants, [1_800_000_000_123, Date.UTC(2027, 0, 15, 8, 0, 0, 500), -1_000])
})

const REFUSED: readonly [name: string, request: unknown, option: string, message: RegExp][] = [
  ['no JSON', 'nope', 'request', /cannot read the request: invalid input syntax/],
  ['nothing', null, 'request', /expected a JSON object or a list of them; found/],
  ['a text', '"a"', 'request', /found a string/],
  ['neither event nor job', {}, 'topic', /^moca.record: topic must be/],
  ['both', { ...EVENT, ...JOB }, 'topic', /there is no field "(topic|event_type)"/],
  ['a misspelt field', { ...JOB, retries: 3 }, 'retries', /there is no field "retries"/],
  ['a topic that is a number', { ...EVENT, topic: 1 }, 'topic', /topic must be of type string; found number/],
  ['a topic of 201 letters', { ...EVENT, topic: 't'.repeat(201) }, 'topic', /topic must be 1 to 200/],
  ['a topic with a slash', { ...EVENT, topic: 'a/b' }, 'topic', /topic must be .* found "a\/b"/],
  ['no event_type', { topic: 't' }, 'event_type', /event_type must be a text of 1 to 200/],
  ['an empty event_type', { ...EVENT, event_type: '' }, 'event_type', /event_type must be/],
  ['an event_type of 201 letters', { ...EVENT, event_type: 'e'.repeat(201) }, 'event_type', /event_type must be/],
  ['an empty key of an event', { ...EVENT, key: '' }, 'key', /key must be a text of 1 to 500/],
  ['a key of 501 letters', { ...EVENT, key: 'k'.repeat(501) }, 'key', /key must be a text of 1 to 500/],
  ['a docname without a doctype', { ...EVENT, docname: '1' }, 'docname', /docname needs a doctype/],
  [
    'site, doctype and docname of 501 letters',
    { ...EVENT, site: 's', doctype: 'D', docname: 'n'.repeat(497) },
    'key',
    /site, doctype and docname have 501 characters together/,
  ],
  [
    'two mistakes: the first one',
    { ...EVENT, event_type: '', key: '', event_id: 'a' },
    'event_type',
    /event_type must be/,
  ],
  ['an event_id that is none', { ...EVENT, event_id: 'a' }, 'event_id', /event_id must be a UUID; found "a"/],
  ['headers that are a list', { ...EVENT, headers: [] }, 'headers', /headers must be of type object; found array/],
  ['a lock that is a text', { ...EVENT, lock: 'true' }, 'lock', /lock must be of type boolean; found string/],
  ['a job that is null', '{"job":null,"payload":1}', 'job', /job must be a type of 1 to 100/],
  ['a type with a space', { ...JOB, job: 'a b' }, 'job', /job must be a type .* found "a b"/],
  ['a type of 101 characters', { ...JOB, job: 'j'.repeat(101) }, 'job', /job must be a type/],
  ['a queue with a dot', { ...JOB, queue: 'a.b' }, 'queue', /queue must be 1 to 64/],
  ['a queue of 65 characters', { ...JOB, queue: 'q'.repeat(65) }, 'queue', /queue must be 1 to 64/],
  ['an empty key', { ...JOB, key: '' }, 'key', /key must be a text of 1 to 200/],
  ['a key of 201 characters', { ...JOB, key: 'k'.repeat(201) }, 'key', /key must be a text of 1 to 200/],
  ['no payload', { job: 'j' }, 'payload', /payload is missing/],
  ['a header that is a number', { ...JOB, headers: { a: 1 } }, 'headers', /header "a" must be a text/],
  ['headers of 8,193 bytes', { ...JOB, headers: { a: 'x'.repeat(8_182) } }, 'headers', /more than 8192 bytes/],
  ['a negative delay', { ...JOB, delay_ms: -1 }, 'delay_ms', /delay_ms must be a whole number from 0/],
  ['half a millisecond', { ...JOB, delay_ms: 0.5 }, 'delay_ms', /whole number .* found 0.5/],
  ['a delay of more than a hundred years', { ...JOB, delay_ms: 3_153_600_000_001 }, 'delay_ms', /whole number/],
  ['a delay as a text', { ...JOB, delay_ms: '5' }, 'delay_ms', /must be of type number; found string/],
  ['no attempt', { ...JOB, attempts: 0 }, 'attempts', /attempts must be a whole number from 1 to 1000/],
  ['1001 attempts', { ...JOB, attempts: 1_001 }, 'attempts', /from 1 to 1000/],
  ['a number without end', '{"job":"j","payload":1,"attempts":1e999999}', 'request', /overflows/],
  ['delay and instant', { ...JOB, delay_ms: 1, run_at: 1 }, 'delay_ms', /cannot be given together/],
  ['an instant without time zone', { ...JOB, run_at: '2027-01-15T09:00:00' }, 'run_at', /run_at must be an instant/],
  ['an instant that there is not', { ...JOB, run_at: '2027-13-15T09:00:00Z' }, 'request', /out of range/],
  ['an instant that is true', { ...JOB, run_at: true }, 'run_at', /run_at must be an instant/],
  ['options beside fields', { ...JOB, options: {}, attempts: 1 }, 'options', /cannot be given together/],
  ['an option of an entry that only scripts write', { ...JOB, options: { a: 1 } }, 'a', /there is no field "a"/],
  ['an option of the wrong type', { ...JOB, options: { n: '3' } }, 'n', /n must be of type number/],
  ['an option of retries that there is not', { ...JOB, options: { rt: { x: 1 } } }, 'x', /there is no field "x"/],
  [
    'an option that JavaScript cannot hold',
    `{"job":"j","payload":1,"options":{"rt":{"d":1e308}}}`,
    'options',
    /d is out of range/,
  ],
  [
    'the character U+0000',
    '{"topic":"t","event_type":"e","data":{"a":["\\u0000"]}}',
    'request',
    /cannot be converted to text/,
  ],
  ['half a surrogate pair', '{"topic":"t","event_type":"e","data":"\\ud83d"}', 'request', /surrogate/],
]

test('what cannot be recorded is refused with a reason, a hint and what it is about', async (t) => {
  const { database } = await openScene(t)
  for (const [name, request, option, message] of REFUSED) {
    await t.test(name, async () => {
      const error = await refusalOf(record(database, request))
      assert.equal(error.code, 'MO001', error.message)
      assert.match(error.message, message)
      assert.ok(error.hint)
      const { option: found, item } = JSON.parse(error.detail ?? '')
      assert.deepEqual([found, item], [option, undefined])
      if (typeof request !== 'object' || request === null) return
      // As one of a list it is refused for the same reason, and by its number.
      const ofList = await refusalOf(record(database, [EVENT, request]))
      assert.equal(ofList.message, error.message.replace('moca.record: ', 'moca.record: item 1: '))
      assert.equal(JSON.parse(ofList.detail ?? '').item, 1)
    })
  }
  assert.deepEqual(await rows(database), [])
})

test('a list is recorded in its order, and one that holds a mistake not at all', async (t) => {
  const { database } = await openScene(t)
  const items = Array.from({ length: 250 }, (_, n) => (n % 3 === 0 ? { ...JOB, payload: n } : { ...EVENT, data: n }))
  const ids = JSON.parse(await record(database, items)) as string[]
  const recorded = await rows(database)
  assert.deepEqual(
    recorded.map(({ id }) => id),
    ids,
  )
  assert.deepEqual(
    recorded.map(({ kind, payload }) => (kind === 'j' ? Number(payload) : JSON.parse(payload).data)),
    items.map((_, n) => n),
  )
  assert.equal(await record(database, []), '[]')
  const wrong = record(database, [EVENT, JOB, { ...EVENT, topic: '' }])
  await assert.rejects(wrong, {
    message: /^moca.record: item 2: topic must be/,
    detail: '{"item": 2, "option": "topic"}',
  })
  await assert.rejects(record(database, [EVENT, 1]), { message: /item 1: expected a JSON object; found a number/ })
  assert.equal((await rows(database)).length, 250)
})

test('values are kept as they were written', async (t) => {
  const { database } = await openScene(t)
  const data = '{"n":123456789012345678901234567890.10,"__proto__":{"a":1},"u":"äöü🦀\\u2028\\u00e4","l":[1,  2]}'
  await record(database, `{"topic":"t","event_type":"e","data":${data}}`)
  await record(database, `{"job":"j","payload":${data}}`)
  const [event, job] = await rows(database)
  assert.ok(event?.payload.includes(`"data":${data},"prev_data"`))
  assert.equal(job?.payload, data)
})

test('null is a payload', async (t) => {
  const { database } = await openScene(t)
  await record(database, { ...JOB, payload: null, key: null, queue: null, delay_ms: null, headers: null })
  const [row] = await rows(database)
  assert.equal(row?.payload, 'null')
  assert.deepEqual([row?.topic, row?.key, row?.due_ms], ['default', null, null])
})

test('takes an event or payload up to the limit, counted in bytes, and refuses one byte more', async (t) => {
  const { database } = await openScene(t)
  const limit = 1_048_576
  const text = (bytes: number) => 'ä'.repeat(Math.floor(bytes / 2)) + 'x'.repeat(bytes % 2)
  await record(database, { ...JOB, payload: text(limit - 2) })
  await record(database, { ...EVENT, data: '' })
  const envelope = (await rows(database))[1]?.bytes ?? 0
  await record(database, { ...EVENT, data: text(limit - envelope) })
  const sizes = (await rows(database)).map(({ payload }) => Buffer.byteLength(payload))
  assert.deepEqual(sizes, [limit, envelope, limit])
  for (const request of [
    { ...JOB, payload: text(limit - 1) },
    { ...EVENT, data: text(limit - envelope + 1) },
  ]) {
    const error = await refusalOf(record(database, request))
    assert.match(error.message, /has 1048577 bytes; the limit is 1048576/)
    const { bytes, limit: told } = JSON.parse(error.detail ?? '')
    assert.deepEqual({ bytes, told }, { bytes: 1_048_577, told: 1_048_576 })
  }
})

test('user, request and site come from the settings of the transaction, unless they are given', async (t) => {
  const { database } = await openScene(t)
  const session = await client(database, t)
  await session.query('begin')
  await session.query(
    `select set_config('moca.user', 'ada', true), set_config('moca.request_id', 'r-1', true), set_config('moca.site', 'acme', true)`,
  )
  await session.query(RECORD, [JSON.stringify({ ...EVENT, doctype: 'City', docname: 'Bern' })])
  await session.query(RECORD, [JSON.stringify({ ...EVENT, user: 'grace', request_id: 'r-2', site: 'other' })])
  await session.query('commit')
  await session.query(RECORD, [JSON.stringify(EVENT)])
  const recorded = await rows(database)
  const facts = recorded.map(({ payload, site, key }) => {
    const { user, request_id, site: told } = JSON.parse(payload)
    return [user, request_id, told, site, key]
  })
  assert.deepEqual(facts, [
    ['ada', 'r-1', 'acme', 'acme', 'acme:City:Bern'],
    ['grace', 'r-2', 'other', 'other', null],
    [null, null, null, null, null],
  ])
})

test('what is rolled back was never recorded, whether all of the transaction or a savepoint of it', async (t) => {
  const { database } = await openScene(t)
  const session = await client(database, t)
  const recordNumber = (data: number) => session.query(RECORD, [JSON.stringify({ ...EVENT, data })])
  await session.query('begin')
  await recordNumber(1)
  await session.query('rollback')
  await session.query('begin')
  await recordNumber(2)
  await session.query('savepoint s')
  await recordNumber(3)
  await assert.rejects(session.query(RECORD, ['nope']), { code: 'MO001' })
  await session.query('rollback to s')
  await recordNumber(4)
  await session.query('release s')
  await recordNumber(5)
  await session.query('commit')
  const recorded = await rows(database)
  assert.deepEqual(
    recorded.map(({ payload }) => JSON.parse(payload).data),
    [2, 4, 5],
  )
  // Relays know of transactions, not of their savepoints.
  assert.equal(new Set(recorded.map(({ xid }) => xid)).size, 1)
})

test('can be called within functions, and in every isolation level', async (t) => {
  const { database } = await openScene(t)
  await database.query(`
    create function place_order() returns text language plpgsql as $$
    begin
      begin
        perform moca.record('{"topic":"t","event_type":"undone"}');
        raise exception 'no';
      exception when raise_exception then null;
      end;
      return moca.record('{"topic":"t","event_type":"placed"}');
    end $$`)
  for (const level of ['read committed', 'repeatable read', 'serializable']) {
    const session = await client(database, t)
    await session.query(`begin isolation level ${level}`)
    await session.query('select place_order()')
    await session.query('commit')
  }
  assert.deepEqual(
    (await rows(database)).map(({ type }) => type),
    ['placed', 'placed', 'placed'],
  )
})

test('a role needs to be let into the schema, and can then record and nothing else', async (t) => {
  const { server, database } = await openScene(t)
  const role = `clerk_${database.name}`
  await database.query(`create role ${role} login`)
  const clerk = new Client({ connectionString: server.urlOf(database.name, role) })
  await clerk.connect()
  try {
    await assert.rejects(clerk.query(RECORD, [JSON.stringify(EVENT)]), { code: '42501' })
    await database.query(`grant usage on schema moca to ${role}`)
    await clerk.query('create temp table deployment (max_bytes integer); insert into deployment values (0)')
    await clerk.query('set search_path = pg_temp, public')
    await clerk.query(RECORD, [JSON.stringify([EVENT, JOB])])
    for (const statement of [
      'select * from moca.outbox',
      'insert into moca.outbox_0 select * from moca.outbox',
      `select nextval('moca.outbox_seq')`,
      `select moca.lock_key('a')`,
      `select moca.uuid_v7(now())`,
    ]) {
      await assert.rejects(clerk.query(statement), { code: '42501' }, statement)
    }
  } finally {
    await clerk.end()
    await database.query(`drop owned by ${role}; drop role ${role}`)
  }
  assert.equal((await rows(database)).length, 2)
})

test('an item with `lock` waits for the key of another transaction, with its transaction id drawn and its seq not', async (t) => {
  const { database } = await openScene(t)
  const [first, second] = [await client(database, t), await client(database, t)]
  await first.query('begin')
  await first.query(RECORD, [JSON.stringify({ ...EVENT, key: 'a', lock: true })])
  await second.query(RECORD, [JSON.stringify({ ...EVENT, key: 'b', lock: true })]) // another key does not wait
  const [pid] = (await second.query<{ pid: number }>('select pg_backend_pid() as pid')).rows
  const waiting = second.query(RECORD, [JSON.stringify({ ...EVENT, key: 'a', lock: true })])
  const state = async () => {
    const [row] = await database.query<{ xid: string | null; drawn: string }>(
      `select backend_xid::text as xid, (select last_value from moca.outbox_seq)::text as drawn
       from pg_stat_activity where pid = $1 and wait_event_type = 'Lock'`,
      [pid?.pid],
    )
    return row
  }
  await waitFor(async () => (await state()) !== undefined, { describe: 'the second session to wait' })
  // Windows rely on it: an anchor taken now has a higher id than the waiting transaction, and its row may have any seq.
  const { xid, drawn } = (await state()) ?? {}
  assert.notEqual(xid, null)
  assert.equal(drawn, '2')
  await first.query('commit')
  await waiting
  assert.deepEqual(
    (await rows(database)).map(({ key }) => key),
    ['a', 'b', 'a'],
  )
})

test('ids and the lanes of keys are spread', async (t) => {
  const { database } = await openScene(t)
  const items = Array.from({ length: 2_000 }, (_, n) => [{ ...EVENT, key: `k${n}` }, JOB]).flat()
  await record(database, items)
  const recorded = await rows(database)
  assert.equal(new Set(recorded.map(({ id }) => id)).size, 4_000)
  for (const kind of ['e', 'j']) {
    const lanes = new Map<number, number>()
    for (const row of recorded) if (row.kind === kind) lanes.set(row.lane, (lanes.get(row.lane) ?? 0) + 1)
    assert.equal(lanes.size, 16)
    for (const count of lanes.values()) assert.ok(count > 60 && count < 190, `${kind}: ${count} of 2000 in one of 16`)
  }
  // The same key has the same lane always.
  const [again] = await database.query<{ lane: number }>(`select moca.lane_of('k7') as lane`)
  assert.equal(again?.lane, recorded.find(({ key }) => key === 'k7')?.lane)
})
