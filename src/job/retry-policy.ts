import { ConfigError } from '../errors.ts'
import { type Duration, parseDuration } from './duration.ts'

export interface RetryOptions {
  /** Attempts in all, the first included. 1 = never retried. Default 8. */
  readonly attempts?: number
  /** `exponential` doubles the delay each time. Default `exponential`. */
  readonly backoff?: 'exponential' | 'fixed'
  /** Delay before the second attempt. Default 2 s. */
  readonly delay?: Duration
  /** The longest delay. Default 10 min. */
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

/** Fills in defaults and checks the range. Throws ConfigError naming `where`. */
export function resolveRetry(options: RetryOptions, where: string): RetryPolicy {
  const { attempts = 8, backoff = 'exponential', delay = '2s', maxDelay = '10m', jitter = 0.3, ...unknown } = options
  const strange = Object.keys(unknown)[0]
  if (strange !== undefined) {
    throw new ConfigError(
      `${where} has an unknown option ${strange}. Known are attempts, backoff, delay, maxDelay, jitter.`,
      { option: strange },
    )
  }
  if (!Number.isInteger(attempts) || attempts < 1 || attempts > 1000) {
    throw new ConfigError(`${where}: attempts must be a whole number from 1 to 1000, found ${attempts}`, {
      option: 'attempts',
      found: attempts,
    })
  }
  if (backoff !== 'exponential' && backoff !== 'fixed') {
    throw new ConfigError(`${where}: backoff must be 'exponential' or 'fixed', found ${JSON.stringify(backoff)}`, {
      option: 'backoff',
      found: backoff,
    })
  }
  if (!(jitter >= 0 && jitter <= 1)) {
    throw new ConfigError(`${where}: jitter must be from 0 to 1, found ${jitter}`, { option: 'jitter', found: jitter })
  }
  return Object.freeze({
    attempts,
    backoff,
    delayMs: parseDuration(delay, `${where}: delay`),
    maxDelayMs: parseDuration(maxDelay, `${where}: maxDelay`),
    jitter,
  })
}

/** The delay after the `failures`-th failed attempt (1 = the first), in ms. `chance` is from 0 to 1. */
export function retryDelayMs(policy: RetryPolicy, failures: number, chance: number): number {
  const base = policy.backoff === 'fixed' ? policy.delayMs : policy.delayMs * 2 ** Math.min(failures - 1, 40)
  const spread = 1 + policy.jitter * (2 * chance - 1)
  return Math.round(Math.min(Math.min(base, policy.maxDelayMs) * spread, policy.maxDelayMs))
}
