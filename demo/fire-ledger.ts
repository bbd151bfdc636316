import { DurableLog, readLines } from './durable-log.ts'

/** What the handler of a schedule's jobs wrote down about one attempt, on the disk before the attempt ended. */
export interface FireLine {
  readonly schedule: string
  /** For which instant it was fired, ms since 1970. */
  readonly instantMs: number
  /** Of the job. */
  readonly id: string
  readonly queue: string
  readonly pid: number
  /** Monotonic, the same clock in all processes. */
  readonly us: number
  readonly outcome: 'succeeded'
}

export type FireLedger = DurableLog<FireLine>

export function openFireLedger(dir: string, process: string): Promise<FireLedger> {
  return DurableLog.open<FireLine>(`${dir}/${process}.jsonl`)
}

export function readFireLedger(dir: string): Promise<FireLine[]> {
  return readLines<FireLine>(dir)
}
