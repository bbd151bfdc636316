/** What should become of a job: it runs to its end, uses up its attempts, or kills every process that runs it. */
export type Expectation = 'succeeds' | 'fails' | 'kills'

/** A job that the load wanted to enqueue, and what it was told. Kept in the memory of the process that nobody kills. */
export interface JournalEntry {
  /** Unique; travels in the payload. */
  readonly name: string
  readonly queue: string
  readonly key: string | undefined
  readonly expects: Expectation
  /** When the first call for it began, and when one was answered (monotonic). */
  readonly fromUs: number
  toUs: number | undefined
  /** Undefined: never answered (it may be there all the same). */
  id: string | undefined
  /** Position among the jobs of its key. Calls for one key follow each other, so it is the order of acceptance. */
  readonly position: number
}
