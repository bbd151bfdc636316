import { isDurationMs } from '../job/duration.ts'
import { type RetryPolicy, isAttempts, isBackoff, isJitter, mergeRetry } from '../job/retry-policy.ts'
import type { EntryOptions } from './entry.ts'

/** What the call that enqueued a job set otherwise than its contract. What the contract decides is left out. */
export interface JobOverrides extends Partial<RetryPolicy> {
  readonly timeoutMs?: number
  readonly keepCompletedMs?: number
}

/** The retry policy of one job: its contract's, with what its entry says otherwise. Never throws, see `readRetry`. */
export function retryOf(options: EntryOptions, contract: RetryPolicy): RetryPolicy {
  if (options.n === undefined && options.rt === undefined) return contract
  return mergeRetry(contract, readRetry(options))
}

/** How long an attempt of this job may run (0 = as long as it likes): by its entry, else its contract. */
export function timeoutMsOf({ tm }: EntryOptions, contractMs: number): number {
  return isDurationMs(tm) ? tm : contractMs
}

/** How long the history shows this job once it completed: by its entry, else its contract. */
export function keepCompletedMsOf({ kc }: EntryOptions, contractMs: number): number {
  return isDurationMs(kc) ? kc : contractMs
}

/** Undefined when the job does everything as its contract says. */
export function overridesOf(options: EntryOptions): JobOverrides | undefined {
  const overrides: JobOverrides = {
    ...readRetry(options),
    ...(isDurationMs(options.tm) && { timeoutMs: options.tm }),
    ...(isDurationMs(options.kc) && { keepCompletedMs: options.kc }),
  }
  return Object.keys(overrides).length === 0 ? undefined : overrides
}

/**
 * An entry may come from a newer release or another program. What of it is not understood is left to the contract: to retry the job
 * otherwise than it asked is better than to lose its failure, or the worker.
 */
function readRetry({ n, rt }: { readonly n?: unknown; readonly rt?: unknown }): Partial<RetryPolicy> {
  const { b, d, m, j } = (typeof rt === 'object' && rt !== null ? rt : {}) as Record<string, unknown>
  return {
    ...(isAttempts(n) && { attempts: n }),
    ...(isBackoff(b) && { backoff: b }),
    ...(isDurationMs(d) && { delayMs: d }),
    ...(isDurationMs(m) && { maxDelayMs: m }),
    ...(isJitter(j) && { jitter: j }),
  }
}
