import { ConfigError, type OptionError } from '../errors.ts'
import { describeValue } from './describe-value.ts'
import { type Duration, parseDuration } from './duration.ts'

export interface RetryOptions {
  /** Attempts in all, the first included. 1 = never retried. Default 8. */
  readonly attempts?: number
  /** `exponential` doubles the delay each time. Default `exponential`. */
  readonly backoff?: 'exponential' | 'fixed'
  /** Delay before the second attempt. Default 2 s. */
  readonly delay?: Duration
  /** The longest delay; not below `delay`. Default 10 min, or `delay` where that is longer. */
  readonly maxDelay?: Duration
  /** Share of the delay that is left to chance, 0 to 1: 0.3 = between 70 % and 130 %. Default 0.3. */
  readonly jitter?: number
}

export interface RetryPolicy {
  readonly attempts: number
  readonly backoff: 'exponential' | 'fixed'
  readonly delayMs: number
  readonly maxDelayMs: number
  readonly jitter: number
}

const DEFAULTS: RetryPolicy = Object.freeze({
  attempts: 8,
  backoff: 'exponential',
  delayMs: 2_000,
  maxDelayMs: 600_000,
  jitter: 0.3,
})

/** Fills in defaults and checks the range. Throws ConfigError, or OptionError for a duration, naming `where`. */
export function resolveRetry(options: RetryOptions, where: string): RetryPolicy {
  return mergeRetry(DEFAULTS, parseRetry(options, where, DEFAULTS, ConfigError))
}

/**
 * Checks what is given, over a policy that tells the rest. Throws `Refusal`, or OptionError for a duration, naming `where`.
 * The result has only what is given.
 */
export function parseRetry(
  options: RetryOptions,
  where: string,
  over: RetryPolicy,
  Refusal: typeof ConfigError | typeof OptionError,
): Partial<RetryPolicy> {
  const { attempts, backoff, delay, maxDelay, jitter, ...unknown } = options
  const refuse = (option: string, text: string, found?: unknown) =>
    new Refusal(`${where}${text}`, found === undefined ? { option } : { option, found })

  const strange = Object.keys(unknown)[0]
  if (strange !== undefined) {
    const known = 'attempts, backoff, delay, maxDelay, jitter'
    throw refuse(strange, ` has an unknown option ${strange}. Known are ${known}.`)
  }
  if (attempts !== undefined && !isAttempts(attempts)) {
    throw refuse(
      'attempts',
      `: attempts must be a whole number from 1 to 1000, found ${describeValue(attempts)}`,
      attempts,
    )
  }
  if (backoff !== undefined && !isBackoff(backoff)) {
    throw refuse('backoff', `: backoff must be 'exponential' or 'fixed', found ${describeValue(backoff)}`, backoff)
  }
  if (jitter !== undefined && !isJitter(jitter)) {
    throw refuse('jitter', `: jitter must be from 0 to 1, found ${describeValue(jitter)}`, jitter)
  }
  const delayMs = delay === undefined ? undefined : parseDuration(delay, `${where}: delay`)
  const maxDelayMs = maxDelay === undefined ? undefined : parseDuration(maxDelay, `${where}: maxDelay`)
  const least = delayMs ?? over.delayMs
  if (maxDelayMs !== undefined && maxDelayMs < least) {
    const source = delayMs === undefined ? 'which holds where none is given' : 'which is given'
    throw refuse(
      'maxDelay',
      `: maxDelay must be at least delay (${least} ms, ${source}), found ${maxDelayMs} ms. Set a longer maxDelay or a shorter delay.`,
      maxDelay,
    )
  }
  return {
    ...(attempts !== undefined && { attempts }),
    ...(backoff !== undefined && { backoff }),
    ...(delayMs !== undefined && { delayMs }),
    ...(maxDelayMs !== undefined && { maxDelayMs }),
    ...(jitter !== undefined && { jitter }),
  }
}

/** A policy with something changed. A delay above the longest one raises that, unless the longest one is changed as well. */
export function mergeRetry(policy: RetryPolicy, change: Partial<RetryPolicy>): RetryPolicy {
  const merged = { ...policy, ...change }
  const maxDelayMs = change.maxDelayMs ?? Math.max(policy.maxDelayMs, change.delayMs ?? 0)
  return Object.freeze({ ...merged, maxDelayMs })
}

export function isAttempts(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= 1000
}

export function isBackoff(value: unknown): value is RetryPolicy['backoff'] {
  return value === 'exponential' || value === 'fixed'
}

export function isJitter(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= 1
}

/** The delay after the `failures`-th failed attempt (1 = the first), in ms. `chance` is from 0 to 1. */
export function retryDelayMs(policy: RetryPolicy, failures: number, chance: number): number {
  const base = policy.backoff === 'fixed' ? policy.delayMs : policy.delayMs * 2 ** Math.min(failures - 1, 40)
  const spread = 1 + policy.jitter * (2 * chance - 1)
  return Math.round(Math.min(Math.min(base, policy.maxDelayMs) * spread, policy.maxDelayMs))
}
