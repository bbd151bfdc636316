import type { JobHandler } from '../../job/job.ts'
import type { EntryOptions } from '../entry.ts'
import type { StreamLetter } from '../keys.ts'
import type { Lane } from './lane.ts'
import type { Outcome } from './outcome.ts'

/** What a read says of an attempt. */
export interface Fetched {
  readonly lane: Lane
  readonly letter: StreamLetter
  /** Id of its stream entry. */
  readonly entry: string
  /** The last part of the job's id. */
  readonly place: string
  readonly type: string
  readonly handler: JobHandler | undefined
  readonly options: EntryOptions
  readonly payloadText: string
  /** Its slot in the lease table. */
  readonly slot: number
  /** The life of the server in which it was fetched. */
  readonly bootId: string
}

/** One start of a job's handler, from its fetching until its outcome is settled. */
export interface Attempt extends Fetched {
  fetchedAtMs: number
  startedAtMs: number
  /** When its outcome was known. */
  endedAtMs: number
  /** Monotonic ms after which its signal aborts; Infinity = no timeout. */
  deadlineMs: number
  /** Why the signal aborted. */
  stopReason: 'timeout' | 'lease_lost' | 'shutdown' | undefined
  controller: AbortController | undefined
  /** What the settler reports. */
  outcome: Outcome | undefined
  /** Its outcome was handed to the settler: nothing that the handler does later counts. */
  isSettled: boolean
  /** Its outcome was sent before and the answer was lost: to find it settled is no news. */
  isResent: boolean
}

export function newAttempt(fetched: Fetched, nowMs: number): Attempt {
  const { lane, letter, entry, place, type, handler, options, payloadText, slot, bootId } = fetched
  // One by one: spreading costs a microsecond, and this runs for every job.
  return {
    lane,
    letter,
    entry,
    place,
    type,
    handler,
    options,
    payloadText,
    slot,
    bootId,
    fetchedAtMs: nowMs,
    startedAtMs: nowMs,
    endedAtMs: nowMs,
    deadlineMs: Number.POSITIVE_INFINITY,
    stopReason: undefined,
    controller: undefined,
    outcome: undefined,
    isSettled: false,
    isResent: false,
  }
}

/** The attempt's number as the handler sees it: 1 for the first. */
export function attemptNumber(attempt: Attempt): number {
  return (attempt.options.a ?? 0) + 1
}
