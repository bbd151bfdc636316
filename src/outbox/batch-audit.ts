import type { PostgresConnection } from '../postgres/connection.ts'
import { digestOf } from './digest.ts'
import { RelayStore, type StoredBatch } from './relay-store.ts'
import { loadStatements } from './statements.ts'

/** What reading a batch again came to, and how many rows it found. `dropped`: the log does not keep its rows any more. */
export type BatchCheck =
  | { readonly status: 'same' | 'dropped'; readonly found: number }
  | { readonly status: 'missing' | 'different'; readonly batch: StoredBatch; readonly found: number }

const NAMES = [
  'find-batch-gaps',
  'first-batch-since',
  'first-kept-seq',
  'has-rows',
  'count-batches',
  'compare-batches',
] as const
const PAGE = 200
/** A page of full batches is 200,000 rows. */
const PATIENCE = { replyTimeoutMs: 120_000 }

/** Checks what is written down of a sink's lanes against the log, by reading batches as relays do. It reads only. */
export class BatchAudit {
  readonly #connection: PostgresConnection
  readonly #sql: Readonly<Record<(typeof NAMES)[number], string>>
  readonly #schema: string
  readonly #stores = new Map<string, RelayStore>()

  constructor(connection: PostgresConnection, schema: string) {
    this.#connection = connection
    this.#schema = schema
    this.#sql = loadStatements(NAMES, schema)
  }

  /** Numbers that no batch of a lane has, where none can have been pruned: after this instant. */
  async gaps(
    sink: string,
    lane: number,
    keptSince: Date,
  ): Promise<{ readonly fromN: number; readonly uptoN: number }[]> {
    type Raw = { from_n: number; upto_n: number }
    const rows = await this.#connection.query<Raw>(this.#sql['find-batch-gaps'], [sink, lane, keptSince])
    return rows.map(({ from_n, upto_n }) => ({ fromN: from_n, uptoN: upto_n }))
  }

  /** Reads the batches of a lane since an instant, up to a number, one after another, and compares them with what was sent. */
  async *check(sink: string, lane: number, since: Date, uptoN: number): AsyncGenerator<BatchCheck, void> {
    const [first] = await this.#connection.query<{ n: number }>(this.#sql['first-batch-since'], [sink, lane, since])
    let next = first?.n ?? 0
    // Not those that are written meanwhile: relays may be as fast as this.
    while (next > 0 && next <= uptoN) {
      const page = await this.#compare(sink, lane, next, uptoN)
      for (const { n, rows, is_same } of page) {
        if (is_same) yield { status: 'same', found: rows }
        else yield* this.#look(sink, lane, n)
      }
      next = (page.at(-1)?.n ?? uptoN) + 1
    }
  }

  /** A page of batches, compared where they are: most are as they were sent, and need not be fetched. */
  #compare(sink: string, lane: number, fromN: number, uptoN: number) {
    type Raw = { n: number; rows: number; is_same: boolean | null }
    const values = [sink, lane, fromN, uptoN, PAGE]
    return this.#connection.query<Raw>(this.#sql['compare-batches'], values, PATIENCE)
  }

  /** Reads one batch as relays do. Nothing when it was pruned meanwhile. */
  async *#look(sink: string, lane: number, n: number): AsyncGenerator<BatchCheck, void> {
    const store = await this.#storeOf(sink)
    const [batch] = await store.loadBatches(lane, n, 1)
    if (batch?.n === n) yield await this.#checkOne(store, batch)
  }

  /** Rows in the batches after one number, up to another. */
  async countRows(sink: string, lane: number, after: number, upto: number): Promise<number> {
    const values = [sink, lane, after, upto]
    const [row] = await this.#connection.query<{ rows: number }>(this.#sql['count-batches'], values)
    return row?.rows ?? 0
  }

  async hasRows(): Promise<boolean> {
    const [row] = await this.#connection.query<{ has_rows: boolean }>(this.#sql['has-rows'])
    return row?.has_rows === true
  }

  async #checkOne(store: RelayStore, batch: StoredBatch): Promise<BatchCheck> {
    const rows = await store.readBatch(batch)
    const found = rows.length
    if (found === batch.rows && digestOf(rows) === batch.digest) return { status: 'same', found }
    if (found >= batch.rows) return { status: 'different', batch, found }
    return (await this.#mayHaveBeenDropped(batch)) ? { status: 'dropped', found } : { status: 'missing', batch, found }
  }

  /** Whether rows of it can have been in a partition that is gone by now. Those of parked keys may be as old as their parking. */
  async #mayHaveBeenDropped({ from, unparkedKey }: StoredBatch): Promise<boolean> {
    const [row] = await this.#connection.query<{ seq: number }>(this.#sql['first-kept-seq'])
    const lowest = unparkedKey === undefined ? (from?.low ?? 0) : 0
    return lowest < (row?.seq ?? 0)
  }

  async #storeOf(sink: string): Promise<RelayStore> {
    const known = this.#stores.get(sink)
    if (known) return known
    const store = new RelayStore(this.#connection, { schema: this.#schema, sink, relay: 'verify' })
    await store.deployment()
    this.#stores.set(sink, store)
    return store
  }
}
