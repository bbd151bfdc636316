import { defineJob, type Job } from '../../src/index.ts'

export interface ChaosPayload {
  readonly name: string
  /** How long a run takes. */
  readonly ms: number
  /** The first so many attempts fail. */
  readonly failures: number
  /** A block waits so long before it begins, so that a read is under way by then; without, until jobs wait behind it. */
  readonly waitMs?: number
  /** Makes a payload large. */
  readonly filler?: string
}

const retry = { attempts: 4, backoff: 'fixed', delay: 80, jitter: 0.5 } as const

function define(type: string, queue: string): Job<ChaosPayload> {
  return defineJob({ type, queue, timeout: '60s', retry }) as Job<ChaosPayload>
}

/** Waits, as a job does that talks to other servers. */
export const work = define('chaos.work', 'default')
/** The same, for several leases. */
export const long = define('chaos.long', 'long')
/** Waits until a `block` begins in the same process; then it ends, and its outcome cannot be reported for a while. */
export const gate = define('chaos.gate', 'default')
/** Blocks the event loop. */
export const block = define('chaos.block', 'critical')
/** Kills the process that runs it. */
export const poison = define('chaos.poison', 'default')
