// How fires of schedules come into the queue. Implemented by queue/receiver, used by the scheduler, which knows nothing of streams.

/** What is to be done about one instant of a schedule. */
export interface Fire {
  readonly schedule: string
  /** Of the definition that the instant comes of. */
  readonly version: number
  readonly instantMs: number
  /**
   * `enqueue`: a job, unless the instant was taken. `unless_busy`: as that, but none while the job of the fire before is not done. `pass`:
   * none; it was missed. `trigger`: a job at any rate; the schedule's instants stay as they are.
   */
  readonly act: 'enqueue' | 'unless_busy' | 'pass' | 'trigger'
  /** With `pass`: the first of the instants that were missed; `instantMs` is the last. */
  readonly missedFromMs?: number
  readonly type: string
  /** The options of its entry as JSON; begins with `{"i":"<place>"`. */
  readonly options: string
  readonly payload: string
  /** `g` and 20 url-safe characters: the last part of its id. */
  readonly place: string
  readonly key: string | undefined
  /** Not before this instant, ms since 1970. */
  readonly dueMs: number | undefined
}

/**
 * What became of a fire. `done`: its instant was taken before. `changed`: the schedule is not what it was. `early`: the server's clock is
 * not there yet. `busy`, `passed`: taken, without a job.
 */
export type FireOutcome = 'enqueued' | 'done' | 'changed' | 'early' | 'busy' | 'passed'

/** `standby`: somebody else leads, and nothing was done. `full`: neither, since so many jobs wait in the queue already. */
export type FireAnswer =
  | { readonly status: 'fired'; readonly outcomes: readonly FireOutcome[] }
  | { readonly status: 'standby' }
  | { readonly status: 'full'; readonly maxWaiting: number }

export interface FireReceiver {
  /** Takes up to 500 fires of one queue, in order: all of it or nothing. `leader`: who must lead; undefined: whoever does. */
  fire(leader: string | undefined, queue: string, fires: readonly Fire[]): Promise<FireAnswer>
}
