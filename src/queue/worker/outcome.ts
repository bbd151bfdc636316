import { HandlerTimeoutError } from '../../errors.ts'
import { describeError, type ErrorFacts, Verdict } from '../../job/control-flow.ts'
import { type RetryPolicy, retryDelayMs } from '../../job/retry-policy.ts'

/** How an attempt ended, as settle.lua is told (its field names). */
export type Outcome =
  | { readonly r: 'completed' }
  | { readonly r: 'delayed'; readonly d: number; readonly a?: true; readonly er?: ErrorFacts }
  | { readonly r: 'dead'; readonly rs: string; readonly a?: true; readonly er?: ErrorFacts }
  | { readonly r: 'released' }
  | { readonly r: 'aside' }
  | { readonly r: 'cancelled' }
  | { readonly r: 'expired' }

export interface Failure {
  readonly error: unknown
  /** Attempts charged before this one. */
  readonly charged: number
  /** Of this job: its contract's with what its entry says otherwise. */
  readonly policy: RetryPolicy
  readonly timeoutMs: number
  readonly stopReason: 'timeout' | 'lease_lost' | 'shutdown' | undefined
  /** From 0 to 1, for jitter. */
  readonly chance: number
}

/** What becomes of a job whose handler threw. Pure. */
export function decideFailure({ error, charged, policy, timeoutMs, stopReason, chance }: Failure): Outcome {
  const verdict = error instanceof Verdict ? error : undefined
  if (verdict?.kind === 'snooze') return { r: 'delayed', d: verdict.afterMs ?? 0 }
  if (verdict?.kind === 'cancel') return { r: 'cancelled' }
  // The worker stops: whatever a handler throws once its signal has aborted is no fault of the job.
  if (stopReason === 'shutdown' && !verdict) return { r: 'released' }
  const er = describeError(
    stopReason === 'timeout' && !verdict ? new HandlerTimeoutError(timeoutMs) : (verdict?.cause ?? error),
    verdict?.cause === undefined ? undefined : verdict.message,
  )
  if (verdict && !verdict.mayRetry) return { r: 'dead', rs: 'failed for good', a: true, er }
  if (charged + 1 >= policy.attempts) return { r: 'dead', rs: 'attempts used up', a: true, er }
  return { r: 'delayed', d: verdict?.afterMs ?? retryDelayMs(policy, charged + 1, chance), a: true, er }
}
