import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { parseJobId } from '../job/job-id.ts'
import { judgeOptions } from '../queue/entry.ts'
import type { EncodedEvent, EventFacts } from './event.ts'
import { jobFor, matches, recordedOrigin, SubscriptionSet, topicFor } from './fan-out.ts'
import { defineSubscription, type SubscriptionOptions } from './subscription.ts'
import type { RegisteredSubscription } from './subscription-registry.ts'

function registered(options: Partial<SubscriptionOptions> & { readonly since?: number } = {}): RegisteredSubscription {
  const { since = 1, ...rest } = options
  const { job: _job, start: _start, ...definition } = defineSubscription({ name: 's', topics: ['t'], ...rest })
  return { ...definition, since }
}

function eventOf(fields: Partial<EncodedEvent> = {}): EncodedEvent {
  const none = { site: undefined, doctype: undefined, key: undefined, options: undefined }
  return { id: 'id-1', topic: 't', type: 'order.paid', payload: '{"a":1}', ...none, ...fields }
}

const TABLE: readonly [title: string, Partial<SubscriptionOptions>, Partial<EventFacts>, boolean][] = [
  ['its topic', {}, {}, true],
  ['another topic', {}, { topic: 'u' }, false],
  ['a topic below', { topics: ['t.*'] }, { topic: 't.u' }, true],
  ['one of its types', { types: ['a', 'order.paid'] }, {}, true],
  ['none of its types', { types: ['order'] }, {}, false],
  ['one of its sites', { sites: ['acme'] }, { site: 'acme' }, true],
  ['another site', { sites: ['acme'] }, { site: 'acme2' }, false],
  ['no site where sites are named', { sites: ['acme'] }, {}, false],
  ['one of its doctypes', { doctypes: ['City'] }, { doctype: 'City' }, true],
  ['no doctype where doctypes are named', { doctypes: ['City'] }, {}, false],
  ['all at once', { types: ['x'], sites: ['a'], doctypes: ['D'] }, { type: 'x', site: 'a', doctype: 'D' }, true],
  ['all but one', { types: ['x'], sites: ['a'], doctypes: ['D'] }, { type: 'x', site: 'b', doctype: 'D' }, false],
  [
    'the topic of its doctype',
    { topics: ['moca.cdc.acme.*'] },
    { topic: 'moca.doc.events', site: 'acme', doctype: 'City' },
    true,
  ],
  [
    "another site's doctype",
    { topics: ['moca.cdc.acme.*'] },
    { topic: 'moca.doc.events', site: 'acme2', doctype: 'City' },
    false,
  ],
  ['a doctype of another topic', { topics: ['moca.cdc.*'] }, { topic: 't', site: 'acme', doctype: 'City' }, false],
]

for (const [title, options, facts, expected] of TABLE) {
  test(`${expected ? 'takes' : 'leaves'} ${title}`, () => {
    const [subscription, event] = [registered(options), eventOf(facts)]
    assert.equal(matches(subscription, event), expected)
    assert.equal(new SubscriptionSet(1, [subscription]).matching(event).length, expected ? 1 : 0)
  })
}

test('an event comes by its own topic where that is asked for, too', () => {
  const event = eventOf({ topic: 'moca.doc.events', site: 'acme', doctype: 'City' })
  assert.equal(topicFor(registered({ topics: ['moca.*'] }), event), 'moca.doc.events')
  assert.equal(topicFor(registered({ topics: ['moca.cdc.acme.City'] }), event), 'moca.cdc.acme.City')
  const set = new SubscriptionSet(1, [registered({ topics: ['moca.doc.events', 'moca.cdc.acme.City'] })])
  assert.equal(set.jobsFor(event, 'o').length, 1)
})

test('a set finds whom a look at each subscription finds, in order', () => {
  const word = fc.constantFrom('a', 'b', 'moca.doc.events', 'moca.cdc.a.b')
  const list = fc.uniqueArray(fc.constantFrom('a', 'b', 'c'), { minLength: 1 })
  const topics = fc.uniqueArray(fc.constantFrom('a', 'b', 'a.*', 'moca.*', 'moca.cdc.a.b', 'moca.doc.events'), {
    minLength: 1,
  })
  const options = fc.record({ topics, types: list, sites: list, doctypes: list }, { requiredKeys: ['topics'] })
  const maybe = fc.option(fc.constantFrom('a', 'b'), { nil: undefined })
  const event = fc.record({ topic: word, type: fc.constantFrom('a', 'b'), site: maybe, doctype: maybe })
  fc.assert(
    fc.property(fc.array(options), fc.array(event, { minLength: 1 }), (asked, events) => {
      const subscriptions = asked.map((each, index) => registered({ name: `s${index}`, ...each }))
      const set = new SubscriptionSet(1, subscriptions)
      for (const each of [...events, ...events]) {
        const expected = subscriptions.filter((subscription) => matches(subscription, each)).map(({ name }) => name)
        assert.deepEqual(
          set.matching(each).map(({ subscription }) => subscription.name),
          expected,
        )
      }
    }),
  )
})

test('the job of an event carries it as it is, and what the queue must know', () => {
  const event = eventOf({ key: 'order:42', options: '{"traceparent":"00"}' })
  const job = jobFor(registered({ name: 'mails', queue: 'long' }), event, 't', event.id)
  assert.deepEqual(
    [job.queue, job.type, job.payload, job.key, job.dueMs],
    ['long', 'event:mails', '{"a":1}', 'mails/order:42', undefined],
  )
  assert.equal(parseJobId(`long.0.${job.place}`)?.place, job.place)
  assert.ok(job.options.startsWith(`{"i":"${job.place}",`))
  const { i, k, h, b } = JSON.parse(job.options)
  assert.deepEqual({ i, k, b }, { i: job.place, k: 'mails/order:42', b: 1 })
  assert.deepEqual(JSON.parse(h), { traceparent: '00', 'moca-topic': 't' })
})

test('one that lets later events pass says nothing of blocking, and without a key there is no order', () => {
  const job = jobFor(registered({ onDead: 'skip' }), eventOf(), 't', 'o')
  assert.equal(job.key, undefined)
  assert.deepEqual(Object.keys(JSON.parse(job.options)), ['i', 'h'])
})

test("the topic's header cannot be set by somebody else", () => {
  const job = jobFor(registered(), eventOf({ options: '{"moca-topic":"x","__proto__":"y"}' }), 't', 'o')
  assert.equal(JSON.parse(job.options).h, '{"moca-topic":"t","__proto__":"y"}')
})

test('the same event of the same registration has the same job, and any other another', () => {
  const base = { origin: recordedOrigin('log', 7), name: 's', since: 1 }
  const placeOf = ({ origin, name, since }: typeof base) =>
    jobFor(registered({ name, since }), eventOf(), 't', origin).place
  const others = [
    { ...base, origin: recordedOrigin('log', 8) },
    { ...base, origin: recordedOrigin('gol', 7) },
    { ...base, origin: 'id-1' },
    { ...base, name: 's2' },
    { ...base, since: 2 },
    { ...base, name: 's2', since: 1 },
  ].map(placeOf)
  assert.equal(placeOf(base), placeOf({ ...base }))
  assert.ok(!others.includes(placeOf(base)))
  assert.equal(new Set(others).size, others.length - 1) // the fourth and the last are the same
})

test('a long key goes by its hash, and every key fits the queue', () => {
  const keyOf = (key: string) => jobFor(registered({ name: 'n'.repeat(64) }), eventOf({ key }), 't', 'o').key ?? ''
  assert.equal(keyOf('k'.repeat(135)), `${'n'.repeat(64)}/${'k'.repeat(135)}`)
  const long = ['k'.repeat(136), `${'k'.repeat(135)}l`, 'k'.repeat(500), '🦀'.repeat(500)].map(keyOf)
  for (const key of long) assert.ok(key.length <= 200, key)
  assert.equal(new Set(long).size, long.length)
})

test('whatever keys and headers hold, the queue finds no flaw in the options', () => {
  const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 300 })
  fc.assert(
    fc.property(text, fc.dictionary(text, fc.string({ unit: 'binary' })), (key, headers) => {
      const event = eventOf({ key, options: JSON.stringify(headers) })
      const { options, key: jobKey } = jobFor(registered(), event, 't', 'o')
      const judged = judgeOptions(options)
      assert.equal(judged.flaw, undefined)
      assert.equal(judged.options.k, jobKey)
      assert.deepEqual(JSON.parse(judged.options.h ?? ''), { ...headers, 'moca-topic': 't' })
    }),
  )
})
