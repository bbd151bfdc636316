import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { resolveRetry, retryDelayMs, type RetryPolicy } from '../job/retry-policy.ts'
import type { EnqueueOptions } from '../job/enqueue-options.ts'
import { encodeOptions } from './producer/enqueue-options.ts'
import { type EntryOptions, parseOptions } from './entry.ts'
import { keepCompletedMsOf, overridesOf, retryOf, timeoutMsOf } from './job-overrides.ts'

const CONTRACT = resolveRetry({ attempts: 5, delay: '2s', maxDelay: '1m', jitter: 0.2 }, 'retry')

/** What a worker makes of the options of a call, through the text of an entry. */
function carried(options: EnqueueOptions): EntryOptions {
  return parseOptions(JSON.stringify(encodeOptions(options, { retry: CONTRACT, onDead: 'skip' }, 0).entry))
}

test('a job without overrides has the policy of its contract', () => {
  for (const options of [{}, { retry: {} }, { retry: { delay: undefined } as never }, { key: 'k', timeout: 5 }]) {
    assert.equal(retryOf(carried(options), CONTRACT), CONTRACT)
  }
  assert.equal(overridesOf(carried({ key: 'k', retry: {} })), undefined)
})

const TABLE: [EnqueueOptions, Partial<RetryPolicy>][] = [
  [{ attempts: 2 }, { attempts: 2 }],
  [{ retry: { attempts: 2 } }, { attempts: 2 }],
  [{ retry: { backoff: 'fixed' } }, { backoff: 'fixed' }],
  [{ retry: { jitter: 0 } }, { jitter: 0 }],
  [{ retry: { delay: 0 } }, { delayMs: 0 }],
  [{ retry: { maxDelay: '1h' } }, { maxDelayMs: 3_600_000 }],
  [{ retry: { delay: '1h' } }, { delayMs: 3_600_000, maxDelayMs: 3_600_000 }],
  [
    { attempts: 3, retry: { delay: '1s', maxDelay: '1s' } },
    { attempts: 3, delayMs: 1_000, maxDelayMs: 1_000 },
  ],
]

for (const [options, change] of TABLE) {
  test(`${JSON.stringify(options)} changes that, and leaves the rest to the contract`, () => {
    assert.deepEqual(retryOf(carried(options), CONTRACT), { ...CONTRACT, ...change })
  })
}

test('the rest follows a contract that was changed after the enqueue, and what was given stays', () => {
  const later = resolveRetry({ attempts: 9, delay: '5m', maxDelay: '2h', jitter: 0 }, 'retry')
  assert.deepEqual(retryOf(carried({ retry: { maxDelay: '1h' } }), later), { ...later, maxDelayMs: 3_600_000 })
  // The call's longest delay holds, even below what is the contract's first delay by now.
  const short = retryOf(carried({ retry: { maxDelay: '1m' } }), later)
  assert.equal(retryDelayMs(short, 1, 0.5), 60_000)
})

test('how long a completed job is shown is its own affair, 0 included', () => {
  assert.equal(keepCompletedMsOf(carried({}), 7), 7)
  assert.equal(keepCompletedMsOf(carried({ keep: {} }), 7), 7)
  assert.equal(keepCompletedMsOf(carried({ keep: { completed: 0 } }), 7), 0)
  assert.equal(keepCompletedMsOf(carried({ keep: { completed: '1d' } }), 7), 86_400_000)
})

test('how long an attempt may run is its own affair, 0 included', () => {
  assert.equal(timeoutMsOf(carried({}), 7), 7)
  assert.equal(timeoutMsOf(carried({ timeout: 0 }), 7), 0)
  assert.equal(timeoutMsOf(carried({ timeout: '1d' }), 7), 86_400_000)
})

test('tells what was set otherwise', () => {
  const options = { attempts: 3, timeout: 0, retry: { delay: '1h', backoff: 'fixed' }, keep: { completed: 0 } } as const
  assert.deepEqual(overridesOf(carried(options)), {
    attempts: 3,
    timeoutMs: 0,
    delayMs: 3_600_000,
    backoff: 'fixed',
    keepCompletedMs: 0,
  })
})

test('what cannot be understood is left to the contract', () => {
  const strange = [
    { rt: null },
    { rt: 'later' },
    { rt: 7, tm: -1 },
    { tm: Number.MAX_VALUE },
    { rt: [1, 2] },
    { rt: { b: 'linear', d: '1h', m: -1, j: 2 }, n: '3', kc: '5\n', tm: {} },
    { rt: { b: null, d: Number.MAX_VALUE, zz: 1 }, n: 0 },
  ] as unknown as EntryOptions[]
  for (const options of strange) {
    assert.deepEqual(retryOf(options, CONTRACT), CONTRACT)
    assert.equal(keepCompletedMsOf(options, 7), 7)
    assert.equal(timeoutMsOf(options, 7), 7)
    assert.equal(overridesOf(options), undefined)
  }
  const half = { rt: { b: 'linear', d: 5 } } as unknown as EntryOptions
  assert.deepEqual(retryOf(half, CONTRACT), { ...CONTRACT, delayMs: 5 })
})

test('whatever an entry says, the policy is one that can be followed', () => {
  fc.assert(
    fc.property(fc.anything(), fc.anything(), fc.nat(2_000), (n, rt, failures) => {
      const policy = retryOf({ n, rt } as EntryOptions, CONTRACT)
      const ms = retryDelayMs(policy, failures + 1, 0.5)
      assert.ok(Number.isSafeInteger(ms) && ms >= 0 && Number.isInteger(policy.attempts))
    }),
  )
})
