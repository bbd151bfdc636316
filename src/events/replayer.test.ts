import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConnectionError, OptionError } from '../errors.ts'
import type { Announcement, ReceivedJob } from '../job/job-receiver.ts'
import type { EncodedEvent } from './event.ts'
import type { HistoryFilter } from './event-history.ts'
import { Replayer, type ReplayOptions } from './replayer.ts'
import { defineSubscription, type SubscriptionOptions } from './subscription.ts'

function registered(options: SubscriptionOptions) {
  const { job: _job, start: _start, ...definition } = defineSubscription(options)
  return { ...definition, since: 1 }
}

const range = (count: number) => Array.from({ length: count }, (_, index) => index)

/** Pages of events, a queue that remembers, and the set of subscriptions. */
function open(pages: readonly number[], subscriptions = [registered({ name: 'mails', topics: ['t'] })]) {
  const queue = { version: 1, jobs: [] as ReceivedJob[], announcements: [] as Announcement[], calls: 0 }
  const set = { version: 1, subscriptions, ended: [] }
  const filters: HistoryFilter[] = []
  const none = { site: undefined, doctype: undefined, options: undefined }
  let seq = 0
  const deps = {
    history: {
      async *read(filter: HistoryFilter): AsyncGenerator<EncodedEvent[]> {
        filters.push(filter)
        for (const size of pages)
          yield range(size).map(() => ({
            id: `e${++seq}`,
            topic: 't',
            type: 'x',
            key: 'k',
            payload: `${seq}`,
            ...none,
          }))
      },
    },
    registry: { list: async () => ({ ...set }) },
    receiver: {
      async publish({
        version,
        jobs,
        announcements,
      }: {
        version: number
        jobs: readonly ReceivedJob[]
        announcements: readonly Announcement[]
      }) {
        queue.calls++
        assert.ok(jobs.length <= 1_000)
        if (version !== queue.version) return 'outdated' as const
        queue.jobs.push(...jobs)
        queue.announcements.push(...announcements)
        return 'published' as const
      },
    },
  }
  const replay = (options: Partial<ReplayOptions> = {}) =>
    new Replayer(deps, { topics: ['t'], since: new Date(0), ...options })
  return { queue, set, filters, replay }
}

test('sends events in order as new jobs of those who ask for them now', async () => {
  const { queue, filters, replay } = open(
    [3, 2],
    [
      registered({ name: 'mails', topics: ['t'] }),
      registered({ name: 'bills', topics: ['t.*'] }),
      registered({ name: 'stock', topics: ['t'], queue: 'long', onDead: 'skip' }),
    ],
  )
  const since = new Date(5)
  assert.deepEqual(await replay({ since, key: 'k' }).run(), { events: 5, jobs: 10 })
  assert.deepEqual(
    filters.map(({ since, key }) => ({ since, key })),
    [{ since, key: 'k' }],
  )
  for (const [type, target] of [
    ['event:mails', 'default'],
    ['event:stock', 'long'],
  ]) {
    const jobs = queue.jobs.filter((job) => job.type === type)
    assert.deepEqual(
      jobs.map(({ payload, queue }) => `${payload} ${queue}`),
      range(5).map((n) => `${n + 1} ${target}`),
    )
  }
  assert.deepEqual(queue.announcements, [])
})

test('only for one subscription, or none that there is not', async () => {
  const subscriptions = ['mails', 'bills'].map((name) => registered({ name, topics: ['t'] }))
  const { queue, replay } = open([2], subscriptions)
  assert.deepEqual(await replay({ subscription: 'bills' }).run(), { events: 2, jobs: 2 })
  assert.deepEqual(new Set(queue.jobs.map(({ type }) => type)), new Set(['event:bills']))
  await assert.rejects(replay({ subscription: 'bils' }).run(), {
    name: OptionError.name,
    message: /There is no subscription bils; registered are mails, bills/,
  })
})

test('counts, and sends nothing, for a dry run', async () => {
  const { queue, replay } = open([3])
  assert.deepEqual(await replay({ dryRun: true }).run(), { events: 3, jobs: 3 })
  assert.equal(queue.calls, 0)
})

test('two replays of one event are two jobs', async () => {
  const { queue, replay } = open([1])
  const first = replay()
  await first.run()
  await replay().run()
  assert.equal(new Set(queue.jobs.map(({ place }) => place)).size, 2)
})

test('sends no more in one piece than a script takes', async () => {
  const subscriptions = range(30).map((n) => registered({ name: `s${n}`, topics: ['t'] }))
  const { queue, replay } = open([100], subscriptions)
  assert.deepEqual(await replay().run(), { events: 100, jobs: 3_000 })
  assert.equal(queue.calls, 4)
})

test('goes by the set as it is when somebody subscribes meanwhile, and gives up when it always changes', async () => {
  const { queue, set, replay } = open([2])
  queue.version = 2
  const told: unknown[] = []
  await assert.rejects(
    replay().run((result) => void told.push(result)),
    { name: ConnectionError.name },
  )
  assert.deepEqual(told, [])
  set.version = 2
  assert.deepEqual(await replay().run(), { events: 2, jobs: 2 })
})
