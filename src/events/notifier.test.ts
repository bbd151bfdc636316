import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConnectionError, QueueFullError } from '../errors.ts'
import type { EmittedEvents } from '../job/job-receiver.ts'
import type { NoteSource, QueueNote } from '../job/queue-notes.ts'
import { Notifier } from './notifier.ts'
import { defineSubscription } from './subscription.ts'
import type { RegisteredSubscription } from './subscription-registry.ts'

const at = new Date(5)
const dead = (id: string, topic?: string): QueueNote => {
  return { kind: 'dead', id, queue: 'default', at, jobId: `default.0.${id}`, type: 'mail', reason: 'boom', topic }
}
const loss: QueueNote = {
  kind: 'loss',
  id: 'l',
  queue: 'long',
  at,
  lost: 3,
  from: new Date(1),
  to: new Date(2),
  boot: '7-0',
}

function open(...waiting: QueueNote[]) {
  const {
    job: _job,
    start: _start,
    ...definition
  } = defineSubscription({ name: 'ops', topics: ['moca.notifications'] })
  const subscriptions: RegisteredSubscription[] = [{ ...definition, since: 1 }]
  const told: { id: string; events: EmittedEvents }[] = []
  const left: string[] = []
  const state = { version: 1, known: 1, answer: undefined as 'gone' | undefined, fails: new Map<string, Error>() }
  const notes: NoteSource = {
    take: async (limit) => waiting.splice(0, limit),
    tell: async ({ id }, events) => {
      const error = state.fails.get(id)
      if (error) throw error
      if (events.version !== state.version) return 'outdated'
      if (state.answer) return state.answer
      told.push({ id, events })
      return 'published'
    },
    leave: async ({ id }) => void left.push(id),
  }
  const registry = { list: async () => ({ version: state.known, subscriptions, ended: [] }) }
  return { told, left, state, notifier: new Notifier({ notes, registry }) }
}

test('a death and a loss become events, for those who subscribed and those who listen', async () => {
  const it = open(dead('a'), loss)
  assert.equal(await it.notifier.runOnce(), 2)
  assert.equal(await it.notifier.runOnce(), 0)
  const envelopes = it.told.map(({ events }) => {
    const [announcement] = events.announcements
    assert.equal(announcement?.topic, 'moca.notifications')
    assert.deepEqual(
      events.jobs.map(({ type, payload }) => [type, payload]),
      [['event:ops', announcement.text]],
    )
    return JSON.parse(announcement.text)
  })
  assert.deepEqual(
    envelopes.map(({ event_type, source, data }) => ({ event_type, source, data })),
    [
      {
        event_type: 'job.dead',
        source: 'moca',
        data: { queue: 'default', jobId: 'default.0.a', type: 'mail', reason: 'boom', topic: null, at: at.toJSON() },
      },
      {
        event_type: 'jobs.lost',
        source: 'moca',
        data: {
          queue: 'long',
          lost: 3,
          from: new Date(1).toJSON(),
          to: new Date(2).toJSON(),
          boot: '7-0',
          at: at.toJSON(),
        },
      },
    ],
  )
})

test('a dead notification is not told of; a dead event of another topic is', async () => {
  const it = open(dead('a', 'moca.notifications'), dead('b', 'shop.orders'))
  await it.notifier.runOnce()
  assert.deepEqual([it.left, it.told.map(({ id }) => id)], [['a'], ['b']])
})

test('goes by the set as it is', async () => {
  const it = open(dead('a'))
  it.state.version = 2
  await assert.rejects(it.notifier.runOnce(), { name: ConnectionError.name })
  const again = open(dead('a'))
  again.state.version = again.state.known = 2
  assert.equal(await again.notifier.runOnce(), 1)
})

test('what somebody else told of is done', async () => {
  const it = open(dead('a'))
  it.state.answer = 'gone'
  await it.notifier.runOnce()
  assert.deepEqual(it.told, [])
})

test('one that cannot be told now keeps no other waiting, and an outage ends the run', async () => {
  const full = open(dead('a'), dead('b'))
  full.state.fails.set('a', new QueueFullError('default', 1))
  await assert.rejects(full.notifier.runOnce(), { name: QueueFullError.name })
  assert.deepEqual(
    full.told.map(({ id }) => id),
    ['b'],
  )
  const away = open(dead('a'), dead('b'))
  away.state.fails.set('a', new ConnectionError('away'))
  await assert.rejects(away.notifier.runOnce(), { name: ConnectionError.name })
  assert.deepEqual(away.told, [])
})
