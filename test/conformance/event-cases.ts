import type { EventInput } from '../../src/events/event.ts'

// What an event becomes, for everything that makes envelopes: encodeEvent in TypeScript and moca.record in SQL. Neither may differ in a
// letter: who gets an event, and in what order, must not depend on whether it was emitted or recorded.

export interface EventCase {
  readonly name: string
  readonly topic: string
  readonly input: EventInput
  /** The same for moca.record. `topic` and `event_type` are added. */
  readonly request: Readonly<Record<string, unknown>>
  readonly key: string | null
  /** The envelope behind the timestamp, letter by letter. */
  readonly rest: string
  /** Headers as they are kept. */
  readonly headers?: string
}

const NOTHING = {
  source: 'null',
  site: 'null',
  doctype: 'null',
  docname: 'null',
  action: 'null',
  user: 'null',
  data: 'null',
  prev_data: 'null',
  request_id: 'null',
}

/** JSON texts of the fields that are not null. */
function rest(fields: Partial<typeof NOTHING> = {}): string {
  const all = Object.entries({ ...NOTHING, ...fields })
  return `${all.map(([name, text]) => `"${name}":${text}`).join(',')}}`
}

const LONG_TYPE = '🦀'.repeat(200)
const LONG_KEY = `${'k'.repeat(499)}🦀`

export const EVENT_CASES: readonly EventCase[] = [
  {
    name: 'nothing but a type',
    topic: 'shop.orders',
    input: { type: 'order.paid' },
    request: {},
    key: null,
    rest: rest(),
  },
  {
    name: 'everything',
    topic: 'shop.orders',
    input: {
      type: 'order.paid',
      key: 'order:42',
      data: { total: 12.5, lines: [1, null, true] },
      prevData: { total: 0 },
      source: 'checkout',
      site: 'acme',
      doctype: 'Order',
      docname: '42',
      action: 'paid',
      user: 'ada',
      requestId: 'r-1',
      headers: { traceparent: '00-1-2-01' },
    },
    request: {
      key: 'order:42',
      data: { total: 12.5, lines: [1, null, true] },
      prev_data: { total: 0 },
      source: 'checkout',
      site: 'acme',
      doctype: 'Order',
      docname: '42',
      action: 'paid',
      user: 'ada',
      request_id: 'r-1',
      headers: { traceparent: '00-1-2-01' },
    },
    key: 'order:42',
    rest: rest({
      source: '"checkout"',
      site: '"acme"',
      doctype: '"Order"',
      docname: '"42"',
      action: '"paid"',
      user: '"ada"',
      data: '{"total":12.5,"lines":[1,null,true]}',
      prev_data: '{"total":0}',
      request_id: '"r-1"',
    }),
    headers: '{"traceparent":"00-1-2-01"}',
  },
  {
    name: 'a document is its own key',
    topic: 'moca.doc.events',
    input: { type: 'City.updated', site: 'acme', doctype: 'City', docname: 'Bern' },
    request: { site: 'acme', doctype: 'City', docname: 'Bern' },
    key: 'acme:City:Bern',
    rest: rest({ site: '"acme"', doctype: '"City"', docname: '"Bern"' }),
  },
  {
    name: 'a document without a site',
    topic: 'moca.doc.events',
    input: { type: 'City.updated', doctype: 'City', docname: 'Bern' },
    request: { doctype: 'City', docname: 'Bern' },
    key: ':City:Bern',
    rest: rest({ doctype: '"City"', docname: '"Bern"' }),
  },
  {
    name: 'a doctype without a document has no key',
    topic: 'moca.doc.events',
    input: { type: 'City.reset', site: 'acme', doctype: 'City' },
    request: { site: 'acme', doctype: 'City' },
    key: null,
    rest: rest({ site: '"acme"', doctype: '"City"' }),
  },
  {
    name: 'a key of its own goes before the document',
    topic: 'moca.doc.events',
    input: { type: 'City.updated', key: 'k', doctype: 'City', docname: 'Bern' },
    request: { key: 'k', doctype: 'City', docname: 'Bern' },
    key: 'k',
    rest: rest({ doctype: '"City"', docname: '"Bern"' }),
  },
  {
    name: 'empty texts are texts',
    topic: 't',
    input: { type: 't', site: '', doctype: '', docname: '', user: '', data: '' },
    request: { site: '', doctype: '', docname: '', user: '', data: '' },
    key: '::',
    rest: rest({ site: '""', doctype: '""', docname: '""', user: '""', data: '""' }),
  },
  {
    name: 'texts that JSON escapes, and that it does not',
    topic: 'a-b_c.d',
    input: { type: '"\\/\b\f\n\r\t\u0001\u007f\u2028ä🦀', action: '"\\/\b\f\n\r\t\u0001\u007f\u2028ä🦀' },
    request: { action: '"\\/\b\f\n\r\t\u0001\u007f\u2028ä🦀' },
    key: null,
    rest: rest({ action: '"\\"\\\\/\\b\\f\\n\\r\\t\\u0001\u007f\u2028ä🦀"' }),
  },
  ...(
    [
      ['null', null, 'null'],
      ['false', false, 'false'],
      ['zero', 0, '0'],
      ['a list', [], '[]'],
      ['a large number', 1e21, '1e+21'],
      [
        'a name that objects have',
        JSON.parse('{"__proto__":{"a":1},"constructor":2}'),
        '{"__proto__":{"a":1},"constructor":2}',
      ],
      ['spaces within texts', { 'a b': ' c  d ' }, '{"a b":" c  d "}'],
    ] as const
  ).map(([name, data, text]) => ({
    name: `data: ${name}`,
    topic: 't',
    input: { type: 't', data, prevData: data },
    request: { data, prev_data: data },
    key: null,
    rest: rest({ data: text, prev_data: text }),
  })),
  {
    name: 'the longest type and key, counted in characters',
    topic: 't'.repeat(200),
    input: { type: LONG_TYPE, key: LONG_KEY },
    request: { key: LONG_KEY },
    key: LONG_KEY,
    rest: rest(),
  },
  {
    name: 'no headers',
    topic: 't',
    input: { type: 't', headers: {} },
    request: { headers: {} },
    key: null,
    rest: rest(),
    headers: '{}',
  },
]

export interface RefusedEvent {
  readonly name: string
  readonly topic: unknown
  /** Fields of an EventInput, some of them wrong; `type` is `t` unless it says otherwise. */
  readonly input: Readonly<Record<string, unknown>>
  /** The same for moca.record; undefined where SQL cannot be asked so. */
  readonly request?: Readonly<Record<string, unknown>>
  /** What the refusal names. */
  readonly names: RegExp
}

/** What both refuse. */
export const REFUSED_EVENTS: readonly RefusedEvent[] = [
  { name: 'no topic', topic: '', input: {}, request: {}, names: /topic/i },
  { name: 'a topic with a space', topic: 'a b', input: {}, request: {}, names: /topic/i },
  { name: 'a topic with a line break at its end', topic: 'a\n', input: {}, request: {}, names: /topic/i },
  { name: 'a topic that begins with a dot', topic: '.a', input: {}, request: {}, names: /topic/i },
  { name: 'a pattern for a topic', topic: 'a.*', input: {}, request: {}, names: /topic/i },
  { name: 'a topic of 201 characters', topic: 't'.repeat(201), input: {}, request: {}, names: /topic/i },
  { name: 'a topic with an umlaut', topic: 'ä', input: {}, request: {}, names: /topic/i },
  { name: 'an empty type', topic: 't', input: { type: '' }, request: { event_type: '' }, names: /type/ },
  { name: 'no type', topic: 't', input: { type: undefined }, request: { event_type: undefined }, names: /type/ },
  {
    name: 'a type of 201 characters',
    topic: 't',
    input: { type: '🦀'.repeat(201) },
    request: { event_type: '🦀'.repeat(201) },
    names: /type/,
  },
  { name: 'an empty key', topic: 't', input: { key: '' }, request: { key: '' }, names: /key/ },
  {
    name: 'a key of 501 characters',
    topic: 't',
    input: { key: 'k'.repeat(501) },
    request: { key: 'k'.repeat(501) },
    names: /key/,
  },
  {
    name: 'a document whose key is too long',
    topic: 't',
    input: { doctype: 'City', docname: 'x'.repeat(500) },
    request: { doctype: 'City', docname: 'x'.repeat(500) },
    names: /key/,
  },
  { name: 'a docname alone', topic: 't', input: { docname: 'x' }, request: { docname: 'x' }, names: /docname/ },
  { name: 'a field that there is not', topic: 't', input: { dta: 1 }, request: { dta: 1 }, names: /dta/ },
  {
    name: 'headers that are a list',
    topic: 't',
    input: { headers: ['a'] },
    request: { headers: ['a'] },
    names: /eaders/,
  },
  {
    name: 'a header that is a number',
    topic: 't',
    input: { headers: { a: 1 } },
    request: { headers: { a: 1 } },
    names: /eader/,
  },
  {
    name: 'headers of more than 8 KiB, escapes counted',
    topic: 't',
    input: { headers: { a: '/'.repeat(4_200) } },
    request: { headers: { a: '/'.repeat(4_200) } },
    names: /headers/,
  },
]
