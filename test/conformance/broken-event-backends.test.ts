import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EncodedEvent } from '../../src/events/event.ts'
import type { EventBackend, PublishOutcome, TransientListener } from '../../src/events/event-backend.ts'
import { proxiedRedis } from '../support/proxied-redis.ts'
import { openRedisBackend } from '../support/redis-backend.ts'
import { BACKEND_CHECKS } from './event-backend.ts'

// The suite for event backends is worth something only if it finds faults: each of these is planted, and must be found.

const servers = proxiedRedis()

/** As another one, but for what a fault changes. */
function like(backend: EventBackend, fault: Partial<EventBackend>): EventBackend {
  return {
    name: 'broken',
    ready: (limitMs) => backend.ready(limitMs),
    publishBatch: (events) => backend.publishBatch(events),
    listen: (topics, listener) => backend.listen(topics, listener),
    listTopics: () => backend.listTopics(),
    close: () => backend.close(),
    ...fault,
  }
}

const PUBLISHED: PublishOutcome = { status: 'published' }
const WHOLE = 'brings every event once to who subscribed'
const OUTAGE = 'says of an outage that it is one'

interface Fault {
  readonly name: string
  /** How the check begins that must find it. */
  readonly foundBy: string
  readonly plant: (backend: EventBackend) => Partial<EventBackend>
}

/** Changes the fourth event of larger batches. */
const changeOne = (backend: EventBackend, change: (event: EncodedEvent) => EncodedEvent): Partial<EventBackend> => ({
  publishBatch: (events) => backend.publishBatch(events.map((event, index) => (index === 3 ? change(event) : event))),
})

const hearAs = (backend: EventBackend, change: (listener: TransientListener) => TransientListener) => ({
  listen: (topics: readonly string[], listener: TransientListener) => backend.listen(topics, change(listener)),
})

const FAULTS: readonly Fault[] = [
  {
    name: 'loses one',
    foundBy: WHOLE,
    plant: (backend) => ({
      publishBatch: async (events) => {
        const outcomes = await backend.publishBatch(events.filter((_, index) => index !== 3))
        return events.map((_, index) => outcomes[index] ?? PUBLISHED)
      },
    }),
  },
  {
    name: 'brings one twice',
    foundBy: WHOLE,
    plant: (backend) => ({
      publishBatch: async (events) => {
        const outcomes = await backend.publishBatch(events)
        await backend.publishBatch(events.slice(3, 4))
        return outcomes
      },
    }),
  },
  {
    name: 'publishes one to another topic',
    foundBy: WHOLE,
    plant: (backend) => changeOne(backend, (event) => ({ ...event, topic: 'mail' })),
  },
  {
    name: 'changes an envelope',
    foundBy: WHOLE,
    plant: (backend) =>
      changeOne(backend, (event) => ({ ...event, payload: event.payload.replace('"conformance"', 'null') })),
  },
  {
    name: 'tells listeners another topic',
    foundBy: WHOLE,
    plant: (backend) =>
      hearAs(backend, (listener) => ({
        ...listener,
        onEvent: ({ text }) => listener.onEvent({ topic: 'mail', text }),
      })),
  },
  {
    name: 'reorders a batch',
    foundBy: 'keeps the order of each key',
    plant: (backend) => ({ publishBatch: (events) => backend.publishBatch(events.toReversed()) }),
  },
  {
    name: 'forgets the key',
    foundBy: 'keeps the order of each key',
    plant: (backend) => ({
      publishBatch: (events) =>
        backend.publishBatch(events.toReversed().map((event) => ({ ...event, key: undefined }))),
    }),
  },
  {
    name: 'takes the first thousand only',
    foundBy: 'takes more in one call',
    plant: (backend) => ({
      publishBatch: async (events) => {
        const outcomes = await backend.publishBatch(events.slice(0, 1_000))
        return events.map((_, index) => outcomes[index] ?? PUBLISHED)
      },
    }),
  },
  {
    name: 'lets neighbours suffer for one',
    foundBy: 'refuses an event for its own fault',
    plant: (backend) => ({
      publishBatch: async (events) => {
        const outcomes = await backend.publishBatch(events)
        const refusal = outcomes.find(({ status }) => status === 'refused')
        return refusal ? outcomes.map(() => refusal) : outcomes
      },
    }),
  },
  {
    name: 'takes what must be refused for published',
    foundBy: 'refuses an event for its own fault',
    plant: (backend) => ({
      publishBatch: async (events) => (await backend.publishBatch(events)).map(() => PUBLISHED),
    }),
  },
  {
    name: 'swallows an outage',
    foundBy: OUTAGE,
    plant: (backend) => ({
      publishBatch: async (events) => {
        const outcomes = await backend.publishBatch(events)
        return outcomes.map((outcome) => (outcome.status === 'unavailable' ? PUBLISHED : outcome))
      },
    }),
  },
  {
    name: 'says that nothing was sent when it was',
    foundBy: OUTAGE,
    plant: (backend) => ({
      publishBatch: async (events) => {
        const outcomes = await backend.publishBatch(events)
        const unsent = { status: 'unavailable', reason: 'x', mayHaveBeenApplied: false } as const
        return outcomes.map((outcome, index) => (index === 3 && outcome.status === 'published' ? unsent : outcome))
      },
    }),
  },
  {
    name: 'is always ready',
    foundBy: OUTAGE,
    plant: () => ({ ready: async () => {} }),
  },
  {
    name: 'keeps a gap to itself',
    foundBy: 'tells a listener that it may have missed something',
    plant: (backend) => hearAs(backend, (listener) => ({ ...listener, onGap: () => {} })),
  },
  {
    name: 'goes on telling who stopped',
    foundBy: 'a listener hears nothing of before',
    plant: (backend) => ({
      listen: async (topics, listener) => {
        await backend.listen(topics, listener)
        return { stop: async () => {} }
      },
    }),
  },
  {
    name: 'knows no topics',
    foundBy: 'lists topics',
    plant: () => ({ listTopics: async () => [] }),
  },
]

test('finds nothing in one that is whole', async () => {
  for (const check of BACKEND_CHECKS) {
    await using harness = await openRedisBackend(servers.redis, servers.proxy, 15_000)
    await check.run({ ...harness, backend: like(harness.backend, {}) })
  }
})

for (const { name, foundBy, plant } of FAULTS) {
  test(`finds a backend that ${name}`, async () => {
    const check = BACKEND_CHECKS.find((each) => each.name.startsWith(foundBy))
    assert.ok(check, foundBy)
    await using harness = await openRedisBackend(servers.redis, servers.proxy, 1_500)
    const broken = like(harness.backend, plant(harness.backend))
    await assert.rejects(check.run({ ...harness, backend: broken }))
  })
}
