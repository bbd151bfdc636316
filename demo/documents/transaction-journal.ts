import { DurableLog, readLines } from '../durable-log.ts'

/** The columns of a city but for its key and version. */
export interface CityDocument {
  readonly name: string
  readonly country: string
  readonly population: number
  readonly longitude: number | null
  readonly latitude: number | null
}

/** One row that a transaction wrote. */
export interface DocumentChange {
  readonly action: 'created' | 'updated' | 'deleted'
  readonly cityId: number
  /** Counts the changes of a document, its deletion included: 1, 2, 3, ... */
  readonly version: number
  /** What the row is now; undefined: it is gone. */
  readonly row?: CityDocument
}

/** One event or job that a transaction recorded by itself. What triggers record beside stands in `changes`. */
export interface Recording {
  readonly kind: 'event' | 'job'
  /** As Moca told it. */
  readonly id: string
  /** Of an event: its topic. Of a job: its queue. */
  readonly topic: string
  readonly type: string
  /** What it is about, which is its key. */
  readonly subject: string
  /** Counts what was recorded of the subject, in commit order: 1, 2, 3, ... */
  readonly number: number
}

export type Outcome = 'committed' | 'rolled-back'

/**
 * What a writer writes down around the end of each transaction: the intent before its COMMIT or ROLLBACK, and how it ended. An end of
 * which nobody knows (`unknown`: the connection broke) is settled later, by looking at PostgreSQL.
 */
export type TransactionLine =
  | {
      readonly kind: 'intent'
      readonly transaction: string
      readonly us: number
      readonly ending: 'commit' | 'rollback'
      /** How long it had been open by then. */
      readonly openMs: number
      readonly changes: readonly DocumentChange[]
      readonly recordings: readonly Recording[]
    }
  | {
      readonly kind: 'outcome'
      readonly transaction: string
      readonly us: number
      readonly outcome: Outcome | 'unknown'
      readonly error?: string
    }
  | { readonly kind: 'settled'; readonly transaction: string; readonly us: number; readonly outcome: Outcome }

export type TransactionJournal = DurableLog<TransactionLine>

export function openTransactionJournal(dir: string, process: string): Promise<TransactionJournal> {
  return DurableLog.open<TransactionLine>(`${dir}/${process}.jsonl`)
}

export function readTransactionJournal(dir: string): Promise<TransactionLine[]> {
  return readLines<TransactionLine>(dir)
}
