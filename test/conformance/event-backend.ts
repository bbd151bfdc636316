import assert from 'node:assert/strict'
import { type EncodedEvent, encodeEvent, type Envelope, type EventInput } from '../../src/events/event.ts'
import type { EventBackend, Gap } from '../../src/events/event-backend.ts'
import { waitFor } from '../support/wait-for.ts'

// What every event backend must do. Run for Redis (redis-event-backend.test.ts), and for backends that are broken on purpose, each of
// which it must find out.

export interface Delivered {
  readonly topic: string
  readonly event: Envelope
}

/** One backend on servers of its own, and what a check may do with them. */
export interface BackendHarness {
  readonly backend: EventBackend
  /** How long to wait for what must come. */
  readonly limitMs: number
  /** Somebody who gets events durably, from now on: the list grows as they come. */
  readonly subscribe: (topics: readonly string[]) => Promise<readonly Delivered[]>
  /** An event that the backend must refuse by itself. */
  readonly unpublishable: () => Promise<EncodedEvent>
  /** Nobody reaches the server, until `mend`. */
  readonly cut: () => void
  readonly mend: () => void
}

export interface BackendCheck {
  readonly name: string
  run(harness: BackendHarness): Promise<void>
}

export function makeEvent(topic: string, input: Partial<EventInput> = {}): EncodedEvent {
  const defaults = { nowMs: Date.now(), source: 'conformance', maxBytes: 10_000_000 }
  return encodeEvent(topic, { type: 'test.happened', ...input }, defaults)
}

const range = (count: number) => Array.from({ length: count }, (_, index) => index)
const ids = (delivered: readonly Delivered[]) => delivered.map(({ event }) => event.event_id)

async function publishAll(backend: EventBackend, events: readonly EncodedEvent[]): Promise<void> {
  await backend.ready(5_000)
  const outcomes = await backend.publishBatch(events)
  assert.deepEqual(
    outcomes.map(({ status }) => status),
    events.map(() => 'published'),
  )
}

async function listen(backend: EventBackend, topics: readonly string[]) {
  const heard: Delivered[] = []
  const gaps: Gap[] = []
  const listening = await backend.listen(topics, {
    onEvent: ({ topic, text }) => void heard.push({ topic, event: JSON.parse(text) as Envelope }),
    onGap: (gap) => void gaps.push(gap),
  })
  return { heard, gaps, listening }
}

/** The events of each key, in order. */
function byKey(delivered: readonly Delivered[]): Map<string, number[]> {
  const keys = new Map<string, number[]>()
  for (const { event } of delivered) {
    const { key, n } = event.data as { key: string; n: number }
    keys.set(key, [...(keys.get(key) ?? []), n])
  }
  return keys
}

export const BACKEND_CHECKS: readonly BackendCheck[] = [
  {
    name: 'brings every event once to who subscribed, and to who listens, by its topic and letter by letter',
    async run({ backend, limitMs, subscribe }) {
      const orders = await subscribe(['shop.orders'])
      const shop = await subscribe(['shop.*'])
      const { heard } = await listen(backend, ['shop.*', 'mail'])
      const data = ['', 'ä🦀\u0000"\\/', { deep: [null, { __proto__: 1 }] }, 'x'.repeat(40_000), 1e300]
      const events = range(60).map((n) =>
        makeEvent(n % 3 === 0 ? 'shop.orders' : n % 3 === 1 ? 'shop.carts' : 'mail', { data: data[n % data.length] }),
      )
      await publishAll(backend, events.slice(0, 1))
      await publishAll(backend, events.slice(1))
      const expected = (isMeant: (topic: string) => boolean) =>
        events
          .filter(({ topic }) => isMeant(topic))
          .map(({ topic, payload }) => ({ topic, event: JSON.parse(payload) as Envelope }))
      const byId = (delivered: readonly Delivered[]) =>
        delivered.toSorted((a, b) => (a.event.event_id < b.event.event_id ? -1 : 1))
      await waitFor(() => heard.length >= events.length && orders.length >= 20 && shop.length >= 40, {
        timeoutMs: limitMs,
      })
      assert.deepEqual(byId(heard), byId(expected(() => true)))
      assert.deepEqual(byId(orders), byId(expected((topic) => topic === 'shop.orders')))
      assert.deepEqual(byId(shop), byId(expected((topic) => topic !== 'mail')))
    },
  },
  {
    name: 'keeps the order of each key, within a call and from one call to the next',
    async run({ backend, limitMs, subscribe }) {
      const subscribed = await subscribe(['shop.orders'])
      const { heard } = await listen(backend, ['shop.orders'])
      const events = range(240).map((n) =>
        makeEvent('shop.orders', { key: `k${n % 6}`, data: { key: `k${n % 6}`, n } }),
      )
      for (const from of [0, 1, 2, 50, 51]) {
        const to = from === 51 ? 240 : from === 50 ? 51 : from === 2 ? 50 : from + 1
        await publishAll(backend, events.slice(from, to))
      }
      await waitFor(() => subscribed.length >= events.length && heard.length >= events.length, { timeoutMs: limitMs })
      for (const delivered of [subscribed, heard]) {
        for (const [key, numbers] of byKey(delivered)) {
          assert.deepEqual(
            numbers,
            range(40).map((n) => n * 6 + Number(key.slice(1))),
            key,
          )
        }
      }
    },
  },
  {
    name: 'takes more in one call than goes in one piece',
    async run({ backend, limitMs, subscribe }) {
      const [first, second] = [await subscribe(['shop.orders']), await subscribe(['shop.orders'])]
      const events = range(1_300).map(() => makeEvent('shop.orders'))
      await publishAll(backend, events)
      await waitFor(() => first.length >= events.length && second.length >= events.length, { timeoutMs: limitMs })
      const expected = events.map(({ id }) => id).toSorted()
      assert.deepEqual(ids(first).toSorted(), expected)
      assert.deepEqual(ids(second).toSorted(), expected)
    },
  },
  {
    name: 'publishes where nobody subscribed and nobody listens',
    async run({ backend }) {
      await publishAll(backend, [makeEvent('nobody.cares')])
      assert.deepEqual(await backend.publishBatch([]), [])
    },
  },
  {
    name: 'refuses an event for its own fault, and publishes its neighbours',
    async run({ backend, limitMs, subscribe, unpublishable }) {
      const subscribed = await subscribe(['shop.orders'])
      const bad = await unpublishable()
      const events = [makeEvent('shop.orders'), bad, makeEvent('shop.orders')]
      await backend.ready(5_000)
      const outcomes = await backend.publishBatch(events)
      assert.deepEqual(
        outcomes.map(({ status }) => status),
        ['published', 'refused', 'published'],
      )
      await waitFor(() => subscribed.length >= 2, { timeoutMs: limitMs })
      assert.deepEqual(ids(subscribed), [events[0]?.id, events[2]?.id])
    },
  },
  {
    name: 'who subscribes between two events gets the second',
    async run({ backend, limitMs, subscribe }) {
      const first = await subscribe(['shop.orders'])
      const events = [makeEvent('shop.orders'), makeEvent('shop.orders')]
      await publishAll(backend, events.slice(0, 1))
      const second = await subscribe(['shop.orders'])
      await publishAll(backend, events.slice(1))
      await waitFor(() => first.length >= 2 && second.length >= 1, { timeoutMs: limitMs })
      assert.deepEqual(ids(second), [events[1]?.id])
    },
  },
  {
    name: 'says of an outage that it is one, and of nothing that it was published when it was not',
    async run({ backend, limitMs, subscribe, cut, mend }) {
      const subscribed = await subscribe(['shop.orders'])
      const events = range(30).map(() => makeEvent('shop.orders'))
      const published: string[] = []
      const notPublished: string[] = []
      const publish = async (part: readonly EncodedEvent[]) => {
        const outcomes = await backend.publishBatch(part)
        assert.equal(outcomes.length, part.length)
        for (const [index, outcome] of outcomes.entries()) {
          const id = part[index]?.id ?? ''
          if (outcome.status === 'published') published.push(id)
          else if (outcome.status === 'unavailable' && !outcome.mayHaveBeenApplied) notPublished.push(id)
        }
        return outcomes
      }
      await backend.ready(5_000)
      await publish(events.slice(0, 10))
      cut()
      try {
        const isAway = () =>
          backend.ready(50).then(
            () => false,
            () => true,
          )
        await waitFor(isAway, { timeoutMs: limitMs, describe: 'the outage to be noticed' })
        for (const outcome of await publish(events.slice(10, 20))) assert.equal(outcome.status, 'unavailable')
      } finally {
        mend()
      }
      await backend.ready(10_000)
      await publish(events.slice(20))
      assert.ok(published.length >= 20, 'it goes on after the outage')
      await waitFor(() => published.every((id) => ids(subscribed).includes(id)), { timeoutMs: limitMs })
      for (const id of notPublished) assert.ok(!ids(subscribed).includes(id), 'what was not published reached nobody')
    },
  },
  {
    name: 'tells a listener that it may have missed something, and goes on',
    async run({ backend, limitMs, cut, mend }) {
      const { heard, gaps } = await listen(backend, ['shop.orders', 'mail.*'])
      const from = Date.now()
      cut()
      mend()
      await waitFor(() => gaps.length > 0, { timeoutMs: limitMs })
      assert.ok((gaps[0]?.from.getTime() ?? Infinity) <= from && (gaps[0]?.to.getTime() ?? 0) >= from)
      const events = [makeEvent('shop.orders'), makeEvent('mail.sent')]
      await publishAll(backend, events)
      await waitFor(() => heard.length >= 2, { timeoutMs: limitMs })
      assert.deepEqual(
        ids(heard),
        events.map(({ id }) => id),
      )
    },
  },
  {
    name: 'a listener hears nothing of before, and nothing once it stopped',
    async run({ backend, limitMs }) {
      const events = range(3).map(() => makeEvent('shop.orders'))
      await publishAll(backend, events.slice(0, 1))
      const [first, second] = [await listen(backend, ['shop.orders']), await listen(backend, ['shop.*'])]
      await publishAll(backend, events.slice(1, 2))
      await waitFor(() => first.heard.length >= 1 && second.heard.length >= 1, { timeoutMs: limitMs })
      await first.listening.stop()
      await publishAll(backend, events.slice(2))
      await waitFor(() => second.heard.length >= 2, { timeoutMs: limitMs })
      assert.deepEqual(ids(first.heard), [events[1]?.id])
      assert.deepEqual(ids(second.heard), [events[1]?.id, events[2]?.id])
    },
  },
  {
    name: 'lists topics that somebody subscribed to or listens to',
    async run({ backend, subscribe }) {
      await subscribe(['shop.orders', 'shop.*'])
      await listen(backend, ['mail.sent'])
      const topics = await backend.listTopics()
      for (const topic of ['shop.orders', 'mail.sent']) assert.ok(topics.includes(topic), topic)
      assert.deepEqual(topics, topics.toSorted())
    },
  },
]
