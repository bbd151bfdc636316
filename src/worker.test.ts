import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigError } from './errors.ts'
import { defineJob, handle } from './job/job.ts'
import { silentLogger } from './logger.ts'
import { createMoca } from './moca.ts'
import { createWorker, type WorkerOptions } from './worker.ts'

const a = handle(defineJob({ type: 'a' }), () => {})
const b = handle(defineJob({ type: 'b', queue: 'critical' }), () => {})
const moca = createMoca({ worker: { concurrency: 7, lease: '20s' } })

const REFUSED: [what: string, Record<string, unknown>, RegExp][] = [
  ['no handlers', {}, /needs handlers/],
  ['an empty list of handlers', { handlers: [] }, /needs handlers/],
  ['two handlers of a type', { handlers: [a, handle(defineJob({ type: 'a' }), () => {})] }, /two handlers .* type a/],
  ['no queues', { handlers: [a], queues: [] }, /at least one queue/],
  ['a queue name that is none', { handlers: [a], queues: ['a.b'] }, /queue name/],
  ['a weight below 1', { handlers: [a], queues: { long: { weight: 0 } } }, /queues\.long\.weight must be at least 1/],
  [
    'no concurrency',
    { handlers: [a], queues: { long: { concurrency: 0 } } },
    /queues\.long\.concurrency must be a whole/,
  ],
  [
    'half a place',
    { handlers: [a], queues: { long: { concurrency: 1.5 } } },
    /queues\.long\.concurrency must be a whole/,
  ],
  ['an unknown option', { handlers: [a], concurency: 5 }, /did you mean worker\.concurrency|concurency/],
  ['an option out of range', { handlers: [a], lease: 5 }, /lease/],
  ['options that do not fit', { handlers: [a], lease: '1s', sweepInterval: '1m' }, /sweepInterval/],
]

for (const [what, options, message] of REFUSED) {
  test(`refuses ${what}`, () => {
    assert.throws(
      () => createWorker(moca, options as unknown as WorkerOptions),
      (error: Error) => error.name.endsWith('Error') && message.test(error.message),
    )
  })
}

test('making a worker connects to nothing', () => {
  const worker = createWorker(moca, { handlers: [a, b] })
  const { isConnected, running, buffered, unsettled, lastFetchAgeMs } = worker.health()
  assert.deepEqual([isConnected, running, buffered, unsettled, lastFetchAgeMs], [false, 0, 0, 0, undefined])
})

test('two workers of a process have names of their own', () => {
  const [one, two] = [createWorker(moca, { handlers: [a] }), createWorker(moca, { handlers: [a] })]
  assert.notEqual(one.id, two.id)
  for (const { id } of [one, two]) assert.match(id, /^[\w-]+$/) // no dot: it divides worker and session
})

/** What a worker says when it is made. */
function said(options: Omit<WorkerOptions, 'logger'>) {
  const lines: [level: string, facts: object][] = []
  const logger = {
    ...silentLogger,
    info: (facts: object) => void lines.push(['info', facts]),
    warn: (facts: object) => void lines.push(['warn', facts]),
  }
  createWorker(moca, { ...options, logger })
  return lines
}

test('handlers of queues that other workers serve are worth a line, those of a queue that nobody knows a warning', () => {
  const mail = handle(defineJob({ type: 'mail', queue: 'mail' }), () => {})
  const fax = handle(defineJob({ type: 'fax', queue: 'mail' }), () => {})
  assert.deepEqual(said({ handlers: [a, b, mail] }), []) // it serves what it has handlers for
  assert.deepEqual(said({ handlers: [a, b], queues: ['default', 'critical', 'long'] }), [])
  assert.deepEqual(said({ handlers: [a, b], queues: ['critical'] }), [['info', { types: ['a'], queues: ['default'] }]])
  assert.deepEqual(said({ handlers: [a, b, mail, fax], queues: { critical: {}, default: {} } }), [
    ['warn', { types: ['mail', 'fax'], queues: ['mail'] }],
  ])
  assert.deepEqual(said({ handlers: [a, mail], queues: { mail: {} } }), [
    ['info', { types: ['a'], queues: ['default'] }],
  ])
})

test('a refusal names the option', () => {
  assert.throws(
    () => createWorker(moca, { handlers: [a], queues: { long: { weight: -1 } } }),
    (error: ConfigError) => error instanceof ConfigError && error.facts.option === 'queues.long.weight',
  )
})
