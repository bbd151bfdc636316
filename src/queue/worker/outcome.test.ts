import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cancel, fail, retry, snooze } from '../../job/control-flow.ts'
import { storedBytes } from '../../job/stored-text.ts'
import { resolveRetry } from '../../job/retry-policy.ts'
import { decideFailure, type Failure, type Outcome } from './outcome.ts'

const POLICY = resolveRetry({ attempts: 3, delay: '2s', jitter: 0 }, 'retry')
const boom = new Error('boom')

function decide(failure: Partial<Failure>): Outcome {
  return decideFailure({
    error: boom,
    charged: 0,
    policy: POLICY,
    timeoutMs: 1_000,
    stopReason: undefined,
    chance: 0.5,
    ...failure,
  })
}

/** Without the error's facts. */
function brief(failure: Partial<Failure>): object {
  const { er: _, ...outcome } = decide(failure) as Outcome & { er?: object }
  return outcome
}

const TABLE: [what: string, Partial<Failure>, object][] = [
  ['an error is retried by the policy', {}, { r: 'delayed', d: 2_000, a: true }],
  ['a second error waits longer', { charged: 1 }, { r: 'delayed', d: 4_000, a: true }],
  ['the last attempt that fails is the end', { charged: 2 }, { r: 'dead', rs: 'attempts used up', a: true }],
  ['more attempts than allowed are the end too', { charged: 7 }, { r: 'dead', rs: 'attempts used up', a: true }],
  [
    'a job of one attempt is never retried',
    { policy: { ...POLICY, attempts: 1 } },
    { r: 'dead', rs: 'attempts used up', a: true },
  ],
  ['retry() waits as it says', { error: retry({ after: '1m' }) }, { r: 'delayed', d: 60_000, a: true }],
  ['retry() at once', { error: retry({ after: 0 }) }, { r: 'delayed', d: 0, a: true }],
  ['retry() without a time follows the policy', { error: retry(), charged: 1 }, { r: 'delayed', d: 4_000, a: true }],
  [
    'retry() is an attempt like others',
    { error: retry({ after: 5 }), charged: 2 },
    { r: 'dead', rs: 'attempts used up', a: true },
  ],
  ['snooze() is not charged', { error: snooze('30s') }, { r: 'delayed', d: 30_000 }],
  ['snooze() goes on after the last attempt', { error: snooze(5), charged: 9 }, { r: 'delayed', d: 5 }],
  ['fail() is retried', { error: fail('x') }, { r: 'delayed', d: 2_000, a: true }],
  [
    'fail() without a retry is the end',
    { error: fail('x', { retry: false }) },
    { r: 'dead', rs: 'failed for good', a: true },
  ],
  ['cancel() is no failure', { error: cancel() }, { r: 'cancelled' }],
  ['a timeout is a failure', { stopReason: 'timeout' }, { r: 'delayed', d: 2_000, a: true }],
  ['a lost lease is a failure', { stopReason: 'lease_lost' }, { r: 'delayed', d: 2_000, a: true }],
  ['an error after a stop began is no fault of the job', { stopReason: 'shutdown', charged: 2 }, { r: 'released' }],
  [
    'what a handler says counts also after a stop began',
    { stopReason: 'shutdown', error: fail('x', { retry: false }) },
    { r: 'dead', rs: 'failed for good', a: true },
  ],
]

for (const [what, failure, outcome] of TABLE) test(what, () => assert.deepEqual(brief(failure), outcome))

test('the error is kept, and a timeout is named as what it is', () => {
  const message = (failure: Partial<Failure>) => (decide(failure) as { er?: { m: string } }).er?.m
  assert.equal(message({}), 'Error: boom')
  assert.equal(message({ charged: 2 }), 'Error: boom')
  assert.match(message({ stopReason: 'timeout' }) ?? '', /HandlerTimeoutError: .*timeout of 1000 ms.*handler_timeout/)
  assert.equal(message({ error: fail('no such customer', { cause: boom }) }), 'no such customer: Error: boom')
  assert.equal(message({ error: retry({ reason: 'busy' }), stopReason: 'timeout' }), 'busy')
  assert.equal(message({ error: snooze(1) }), undefined)
  const long = message({ error: fail('😀'.repeat(300), { cause: new Error('x'.repeat(600)) }) })
  assert.ok(long !== undefined && storedBytes(long) <= 360 && long.isWellFormed())
})
