import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { resolveRetry, retryDelayMs, type RetryOptions } from './retry-policy.ts'

const MIDDLE = 0.5

// failures, then the delay without jitter
const TABLE: [what: string, RetryOptions, [failures: number, ms: number][]][] = [
  [
    'doubles from 2 s to 10 min by default',
    {},
    [
      [1, 2_000],
      [2, 4_000],
      [3, 8_000],
      [7, 128_000],
      [9, 512_000],
      [10, 600_000],
      [1_000, 600_000],
    ],
  ],
  [
    'stays the same when fixed',
    { backoff: 'fixed', delay: '5s' },
    [
      [1, 5_000],
      [2, 5_000],
      [50, 5_000],
    ],
  ],
  [
    'is never longer than maxDelay, also when fixed',
    { backoff: 'fixed', delay: '5s', maxDelay: '5s' },
    [
      [1, 5_000],
      [2, 5_000],
    ],
  ],
  [
    'may be longer than 10 min where no maxDelay is given',
    { delay: '1h' },
    [
      [1, 3_600_000],
      [5, 3_600_000],
    ],
  ],
  [
    'is nothing for a delay of 0',
    { delay: 0 },
    [
      [1, 0],
      [8, 0],
    ],
  ],
]

for (const [what, options, rows] of TABLE) {
  test(`the delay ${what}`, () => {
    const policy = resolveRetry(options, 'retry')
    for (const [failures, ms] of rows) assert.equal(retryDelayMs(policy, failures, MIDDLE), ms, `after ${failures}`)
  })
}

const options = fc
  .record({
    backoff: fc.constantFrom('exponential' as const, 'fixed' as const),
    delay: fc.integer({ min: 0, max: 3_600_000 }),
    beyond: fc.integer({ min: 0, max: 86_400_000 }),
    jitter: fc.double({ min: 0, max: 1, noNaN: true }),
  })
  .map(({ beyond, ...given }): RetryOptions => ({ ...given, maxDelay: given.delay + beyond }))
const failures = fc.integer({ min: 1, max: 2_000 })
const chance = fc.double({ min: 0, max: 1, noNaN: true })

test('a delay is a whole number from 0 to maxDelay, and within the jitter', () => {
  fc.assert(
    fc.property(options, failures, chance, (given, count, luck) => {
      const policy = resolveRetry(given, 'retry')
      const ms = retryDelayMs(policy, count, luck)
      const middle = retryDelayMs({ ...policy, jitter: 0 }, count, MIDDLE)
      assert.ok(Number.isSafeInteger(ms) && ms >= 0 && ms <= policy.maxDelayMs)
      assert.ok(ms >= Math.floor(middle * (1 - policy.jitter)) && ms <= Math.ceil(middle * (1 + policy.jitter)))
    }),
  )
})

test('a delay grows with the failures and with the chance', () => {
  fc.assert(
    fc.property(options, failures, chance, chance, (given, count, a, b) => {
      const policy = resolveRetry(given, 'retry')
      assert.ok(retryDelayMs(policy, count + 1, a) >= retryDelayMs(policy, count, a))
      assert.ok(retryDelayMs(policy, count, Math.max(a, b)) >= retryDelayMs(policy, count, Math.min(a, b)))
    }),
  )
})

test('fills in what is not given, and freezes it', () => {
  const policy = resolveRetry({ attempts: 3 }, 'retry')
  assert.deepEqual(policy, {
    attempts: 3,
    backoff: 'exponential',
    delayMs: 2_000,
    maxDelayMs: 600_000,
    jitter: 0.3,
  })
  assert.ok(Object.isFrozen(policy))
})

const REFUSED: [Record<string, unknown>, RegExp][] = [
  [{ attempts: 0 }, /attempts must be a whole number from 1 to 1000, found 0/],
  [{ attempts: 1.5 }, /attempts/],
  [{ attempts: 1_001 }, /attempts/],
  [{ attempts: '3' }, /attempts/],
  [{ backoff: 'linear' }, /backoff must be 'exponential' or 'fixed', found "linear"/],
  [{ jitter: -0.1 }, /jitter must be from 0 to 1/],
  [{ jitter: 1.1 }, /jitter/],
  [{ jitter: Number.NaN }, /jitter/],
  [{ delay: '2 s' }, /delay must be a duration/],
  [{ maxDelay: -1 }, /maxDelay must be a duration/],
  [
    { delay: '1h', maxDelay: '30m' },
    /: maxDelay must be at least delay \(3600000 ms, which is given\), found 1800000 ms/,
  ],
  [{ maxDelay: '1s' }, /: maxDelay must be at least delay \(2000 ms, which holds where none is given\), found 1000 ms/],
  [{ jitter: '0.5' }, /jitter must be from 0 to 1, found "0\.5"/],
  [{ attempt: 3 }, /unknown option attempt\. Known are attempts,/],
]

for (const [given, message] of REFUSED) {
  test(`refuses ${JSON.stringify(given)}, and says where`, () => {
    assert.throws(
      () => resolveRetry(given, 'retry of job x'),
      (error: Error) => message.test(error.message) && error.message.startsWith('retry of job x'),
    )
  })
}
