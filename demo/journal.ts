import { DurableLog, readLines } from './durable-log.ts'

/** What a producer knows of a job before it has an id. */
export interface PlannedJob {
  /** What the job is for, e.g. `enrich:2950159`: the producer's own name for it, and its idempotency key. */
  readonly business: string
  readonly type: string
  readonly queue: string
  readonly key?: string
  readonly isDelayed?: boolean
}

/**
 * What a producer writes down around each call: the intent before it, and how it ended. A call without an ending, or
 * with `mayHaveBeenApplied`, may have been accepted or not; the next call for the same business tells (its idempotency key).
 */
export type JournalLine =
  | { readonly kind: 'intent'; readonly call: string; readonly us: number; readonly jobs: readonly PlannedJob[] }
  | {
      readonly kind: 'answer'
      readonly call: string
      /** When the call began and when its answer came, measured around the call alone. */
      readonly fromUs: number
      readonly toUs: number
      readonly results: readonly { readonly id: string; readonly status: string }[]
    }
  | {
      readonly kind: 'failure'
      readonly call: string
      readonly us: number
      readonly code: string
      readonly mayHaveBeenApplied: boolean
    }
  /** The schema refused it: never a job. Only for calls of one job. */
  | { readonly kind: 'refusal'; readonly call: string; readonly us: number; readonly message: string }

export type Journal = DurableLog<JournalLine>

export function openJournal(dir: string, process: string): Promise<Journal> {
  return DurableLog.open<JournalLine>(`${dir}/${process}.jsonl`)
}

export function readJournal(dir: string): Promise<JournalLine[]> {
  return readLines<JournalLine>(dir)
}
