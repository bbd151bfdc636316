import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EVENT_CASES, REFUSED_EVENTS } from '../../test/conformance/event-cases.ts'
import { OptionError, PayloadError } from '../errors.ts'
import { encodeEvent, type EventInput } from './event.ts'
import { makeEventId } from './event-id.ts'

const nowMs = Date.UTC(2026, 10, 25, 1, 2, 3, 4)
const encode = (input: EventInput, { source = undefined as string | undefined, maxBytes = 1_000_000 } = {}) =>
  encodeEvent('t', input, { nowMs, source, maxBytes })

for (const { name, topic, input, key, rest, headers } of EVENT_CASES) {
  test(`makes the envelope: ${name}`, () => {
    const event = encodeEvent(topic, input, { nowMs, source: undefined, maxBytes: 1_000_000 })
    const first = `{"event_id":"${event.id}","event_type":${JSON.stringify(input.type)},"timestamp":"2026-11-25T01:02:03.004Z",`
    assert.equal(event.payload, first + rest)
    assert.equal(event.key ?? null, key)
    assert.equal(event.options, headers)
    const { site, doctype, type } = input
    const { id: _id, key: _key, options: _options, payload: _payload, ...facts } = event
    assert.deepEqual(facts, { topic, type, site, doctype })
  })
}

for (const { name, topic, input, names } of REFUSED_EVENTS) {
  test(`refuses ${name}`, () => {
    const event = { type: 't', ...input } as unknown as EventInput
    assert.throws(() => encodeEvent(topic as string, event, { nowMs, source: undefined, maxBytes: 1_000_000 }), {
      name: OptionError.name,
      message: names,
    })
  })
}

const cycle: { self?: unknown } = {}
cycle.self = cycle

// What SQL cannot even be asked.
const NO_JSON: readonly [unknown, RegExp][] = [
  [cycle, /data of event t cannot be written as JSON: .*circular/i],
  [5n, /data of event t cannot be written as JSON: .*BigInt/],
  [() => 1, /data of event t must be a JSON value; found a function/],
  [Symbol('s'), /must be a JSON value; found a symbol/],
  [{ toJSON: () => undefined }, /must be a JSON value; found an object/],
]

for (const [data, message] of NO_JSON) {
  test(`refuses data that JSON cannot carry: ${message}`, () => {
    assert.throws(() => encode({ type: 't', data }), { name: PayloadError.name, code: 'payload_invalid', message })
    assert.throws(() => encode({ type: 't', prevData: data }), { name: PayloadError.name, code: 'payload_invalid' })
  })
}

for (const event of [undefined, null, 'order.paid', [{ type: 't' }]]) {
  test(`refuses ${JSON.stringify(event)} as an event`, () => {
    assert.throws(() => encode(event as never), { name: OptionError.name, message: /An event is an object/ })
  })
}

for (const [field, value] of [
  ['site', 5],
  ['user', null],
  ['action', 'a\0'],
  ['requestId', '\ud800'],
  ['key', 7],
]) {
  test(`refuses ${JSON.stringify(value)} as ${field}`, () => {
    assert.throws(() => encode({ type: 't', [field as string]: value }), { name: OptionError.name })
  })
}

test('the source of the configuration holds where the event names none', () => {
  assert.equal(JSON.parse(encode({ type: 't' }, { source: 'shop' }).payload).source, 'shop')
  assert.equal(JSON.parse(encode({ type: 't', source: '' }, { source: 'shop' }).payload).source, '')
})

test('the size of the envelope counts, in bytes', () => {
  const { payload } = encode({ type: 't', data: 'ä'.repeat(100) })
  const bytes = Buffer.byteLength(payload)
  assert.equal(encode({ type: 't', data: 'ä'.repeat(100) }, { maxBytes: bytes }).payload.length, payload.length)
  assert.throws(() => encode({ type: 't', data: 'ä'.repeat(100) }, { maxBytes: bytes - 1 }), {
    name: PayloadError.name,
    code: 'payload_too_large',
    facts: { type: 't', bytes, limit: bytes - 1 },
  })
})

test('ids are UUIDs of version 7 that begin with their instant', () => {
  const ids = Array.from({ length: 2_000 }, () => makeEventId(nowMs))
  assert.equal(new Set(ids).size, ids.length)
  const pattern = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
  for (const id of ids) {
    assert.match(id, pattern)
    assert.equal(Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16), nowMs)
  }
})
