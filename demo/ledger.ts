import { DurableLog, readLines } from './durable-log.ts'

/** What a handler itself wrote down about one attempt, on the disk before the attempt ended. Moca has no hand in it. */
export interface LedgerLine {
  readonly id: string
  readonly business: string
  readonly queue: string
  readonly key: string | undefined
  /** A bigint as text. */
  readonly fence: string
  readonly attempt: number
  readonly pid: number
  /** Monotonic, the same clock in all processes. */
  readonly us: number
  readonly outcome: 'succeeded' | 'failed'
  readonly error?: string
}

export type Ledger = DurableLog<LedgerLine>

export function openLedger(dir: string, process: string): Promise<Ledger> {
  return DurableLog.open<LedgerLine>(`${dir}/${process}.jsonl`)
}

export function readLedger(dir: string): Promise<LedgerLine[]> {
  return readLines<LedgerLine>(dir)
}
