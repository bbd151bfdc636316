import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConnectionError } from '../../errors.ts'
import type { BatchAnswer, JobReceiver, ReceivedBatch, ReceivedJob } from '../../job/job-receiver.ts'
import type { LogRow } from '../log-row.ts'
import { QueueSink } from './queue-sink.ts'

function row(seq: number, options: Partial<LogRow> = {}): LogRow {
  const rest = { topic: 't', type: 'x', site: undefined, doctype: undefined, key: undefined, dueMs: undefined }
  return {
    seq,
    lane: 0,
    xid: '9',
    kind: 'event',
    id: `e${seq}`,
    options: undefined,
    bytes: 10,
    payload: '{}',
    ...rest,
    ...options,
  }
}

function jobRow(seq: number, options: Partial<LogRow> = {}): LogRow {
  const place = `g${String(seq).padStart(20, '0')}`
  return row(seq, { kind: 'job', topic: 'mails', id: `mails.0.${place}`, options: `{"i":"${place}"}`, ...options })
}

/** A sink whose events each have so many subscriptions, and what it hands to the receiver. */
function scene(subscriptions: number, answer: BatchAnswer | Error = { status: 'applied' }) {
  const received: ReceivedBatch[] = []
  const receiver = {
    receive: async (batch: ReceivedBatch) => {
      received.push(batch)
      if (answer instanceof Error) throw answer
      return answer
    },
  } as unknown as JobReceiver
  const job = {
    queue: 'default',
    type: 'event:a',
    options: '{}',
    payload: '{}',
    place: 'g',
    key: undefined,
    dueMs: undefined,
  }
  const jobsFor = (): ReceivedJob[] => Array.from({ length: subscriptions }, () => job)
  return {
    received,
    sink: new QueueSink(receiver, { at: async () => ({ jobsFor, topicsOf: ({ topic }) => [topic] }) }),
  }
}

const FACTS = { version: 1, n: 1 }
const batch = { lane: 3, n: 7, epoch: 2, logId: 'log', rows: 1, digest: 'd', content: { jobs: [], announcements: [] } }

test('a job of the log goes to its queue as it was recorded, and to nobody who listens', async () => {
  const { sink } = scene(1)
  const recorded = jobRow(4, { key: 'k', dueMs: 99, payload: '{"a":1}' })
  const { content, refused } = await sink.prepare([recorded], FACTS)
  assert.deepEqual(refused, [])
  const { options, payload } = recorded
  const place = 'g00000000000000000004'
  assert.deepEqual(content, {
    jobs: [{ queue: 'mails', type: 'x', options, payload, place, key: 'k', dueMs: 99 }],
    announcements: [],
  })
})

test('an event is a job for each subscription, and is announced also where there is none', async () => {
  const several = await scene(3).sink.prepare([row(1)], FACTS)
  assert.equal(several.content.jobs.length, 3)
  const { content } = await scene(0).sink.prepare([row(1)], FACTS)
  assert.deepEqual(content, { jobs: [], announcements: [{ topic: 't', text: '{}' }] })
})

test('what a subscription catches up with is announced to nobody, and jobs are not run again for it', async () => {
  const { content } = await scene(1).sink.prepare([row(1), jobRow(2)], { ...FACTS, only: { name: 'a', since: 1 } })
  assert.deepEqual([content.jobs.length, content.announcements.length], [1, 0])
})

test('a batch holds as many jobs and bytes as a script may take, and one event in any case', async () => {
  const rows = Array.from({ length: 600 }, (_, index) => row(index + 1))
  assert.equal((await scene(2).sink.prepare(rows, FACTS)).rows.length, 500)
  assert.equal((await scene(2_000).sink.prepare(rows, FACTS)).rows.length, 1)
  const large = rows.map((each) => ({ ...each, bytes: 1024 * 1024 }))
  assert.equal((await scene(2).sink.prepare(large, FACTS)).rows.length, 4)
})

test('a batch that was intended stays whole, whatever a batch may hold today', async () => {
  const rows = Array.from({ length: 600 }, (_, index) => row(index + 1))
  const { rows: taken, content } = await scene(2).sink.prepare(rows, { ...FACTS, isIntended: true })
  assert.deepEqual([taken.length, content.jobs.length], [600, 1_200])
})

for (const options of [{ id: 'no id' }, { options: undefined }, { options: '{"i":"gother"}' }]) {
  test(`refuses a job that nothing of ours recorded: ${JSON.stringify(options)}`, async () => {
    const { refused } = await scene(1).sink.prepare([jobRow(5, options)], FACTS)
    assert.deepEqual(refused, [{ seq: 5, reason: 'unreadable', error: 'Row 5 of the log is no job' }])
  })
}

const found = { logId: 'log', n: 4, epoch: 1, rows: 1, digest: 'x' }
const ANSWERS: [BatchAnswer | Error, object][] = [
  [{ status: 'applied' }, { status: 'taken' }],
  [{ status: 'done' }, { status: 'taken' }],
  [
    { status: 'stale', found },
    { status: 'stale', n: 4 },
  ],
  [
    { status: 'forgot', found },
    { status: 'forgot', n: 4 },
  ],
  [
    { status: 'forgot', found: undefined },
    { status: 'forgot', n: 0 },
  ],
  [
    { status: 'ahead', found },
    { status: 'ahead', n: 4 },
  ],
  [
    { status: 'foreign', found },
    { status: 'foreign', n: 4 },
  ],
  [
    { status: 'full', queue: 'mails' },
    { status: 'unavailable', reason: 'Queue mails is full (maxWaiting)' },
  ],
  [new ConnectionError('away'), { status: 'unavailable', reason: 'away' }],
]
for (const [answer, delivery] of ANSWERS) {
  test(`understands ${answer instanceof Error ? answer.message : JSON.stringify(answer)}`, async () => {
    const { sink, received } = scene(1, answer)
    assert.deepEqual(await sink.deliver(batch), delivery)
    assert.equal(received[0]?.unit, '3')
  })
}
