import assert from 'node:assert/strict'
import { test } from 'node:test'
import { outboxScenes } from '../support/outbox-scene.ts'
import { EVENT_CASES, REFUSED_EVENTS } from './event-cases.ts'

// What src/events/event.test.ts holds TypeScript to, here for SQL.

const openScene = outboxScenes()

interface Row {
  readonly id: string
  readonly topic: string
  readonly type: string
  readonly site: string | null
  readonly doctype: string | null
  readonly key: string | null
  readonly options: string | null
  readonly payload: string
}

test('moca.record makes the same envelopes', async (t) => {
  const { database } = await openScene(t)
  for (const { name, topic, input, request, key, rest, headers } of EVENT_CASES) {
    await t.test(name, async () => {
      const text = JSON.stringify({ topic, event_type: input.type, ...request })
      const [recorded] = await database.query<{ id: string }>('select moca.record($1) as id', [text])
      const [row] = await database.query<Row>('select * from moca.outbox where id = $1', [recorded?.id])
      assert.ok(row)
      const begin = `{"event_id":"${recorded?.id}","event_type":${JSON.stringify(input.type)},"timestamp":"`
      assert.equal(row.payload.slice(0, begin.length), begin)
      assert.match(row.payload.slice(begin.length, -rest.length), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",$/)
      assert.equal(row.payload.slice(-rest.length), rest)
      const { type, site = null, doctype = null } = input
      const facts = { topic: row.topic, type: row.type, site: row.site, doctype: row.doctype, key: row.key }
      assert.deepEqual(facts, { topic, type, site, doctype, key })
      assert.equal(row.options, headers ?? null)
    })
  }
})

test('moca.record refuses the same', async (t) => {
  const { database } = await openScene(t)
  for (const { name, topic, request, names } of REFUSED_EVENTS) {
    if (!request) continue
    await t.test(name, async () => {
      const text = JSON.stringify({ topic, event_type: 't', ...request })
      await assert.rejects(database.query('select moca.record($1)', [text]), { code: 'MO001', message: names })
    })
  }
  assert.deepEqual(await database.query('select from moca.outbox'), [])
})
