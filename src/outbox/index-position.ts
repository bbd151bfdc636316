import type { Queryable } from '../postgres/connection.ts'
import { type Anchor, BEFORE_EVERYTHING, type Tick } from './snapshot.ts'
import { loadStatements } from './statements.ts'
import { type Floors, type RawTick, toTick } from './stored-tick.ts'

/** Where an index stands in the log: in a window, or, without `to`, before the next one. */
export interface IndexPlace {
  readonly from: Tick
  readonly to: Tick | undefined
  /** What of the window is in the index: changes up to this seq. */
  readonly afterSeq: number
}

/** An index, as its owner has taken it. */
export interface TakenIndex {
  readonly epoch: number
  /** Of the last batch. */
  readonly n: number
  readonly place: IndexPlace
}

/** A batch that is about to be submitted. `to` without an id is written down with it. */
export interface IndexBatch {
  readonly n: number
  readonly epoch: number
  readonly from: Tick
  readonly to: Tick
  readonly afterSeq: number
  readonly uptoSeq: number
  readonly endsWindow: boolean
  readonly documents: number
}

/** The window's end has an id now, and later windows may go by the anchor. */
export interface IntendedIndexBatch {
  readonly to: Tick
  readonly anchor: Anchor
}

/** How far an index is behind the log. */
export interface IndexStanding {
  /** Changes that wait; of each lane at most `MOST_COUNTED` rows are looked at. */
  readonly waiting: number
  readonly oldestWaitingAt: Date | undefined
  /** Undefined: nobody follows. */
  readonly owner: string | undefined
  /** Documents that were settled in the last minute. */
  readonly settledLately: number
}

const MOST_COUNTED = 10_000
const NAMES = [
  'begin-index',
  'take-index',
  'renew-index',
  'leave-index',
  'load-index',
  'intend-index-batch',
  'settle-index-batch',
  'forget-index',
  'stand-of-index',
] as const

export interface IndexPositionOptions {
  readonly schema: string
  /** The index, or the shadow of one. */
  readonly index: string
  /** Unique to the process. */
  readonly owner: string
  readonly leaseMs: number
}

/**
 * How far one index follows the log, and who may write to it (docs/decisions/0059-the-search-sink.md). On the owner's own connection: when
 * that ends, others may take the index at once.
 */
export class IndexPosition {
  readonly #connection: Queryable
  readonly #options: IndexPositionOptions
  readonly #sql: Readonly<Record<(typeof NAMES)[number], string>>

  constructor(connection: Queryable, options: IndexPositionOptions) {
    this.#connection = connection
    this.#options = options
    this.#sql = loadStatements(NAMES, options.schema)
  }

  /** The index begins with what this tick does not see, unless it has begun before: then false. */
  async begin({ snapshot, low, high }: Tick): Promise<boolean> {
    const tick = JSON.stringify({ snapshot: snapshot.text, low, high })
    return (await this.#ask<{ has_begun: boolean }>('begin-index', [this.#options.index, tick])).has_begun
  }

  /**
   * Takes the index. What an owner before had not settled comes again. Undefined: somebody alive owns it, or it has not begun. `floors`:
   * where lives of the log ended.
   */
  async take(floors: Floors): Promise<TakenIndex | undefined> {
    const { index, owner, leaseMs } = this.#options
    const { epoch } = await this.#ask<{ epoch: number | null }>('take-index', [index, owner, leaseMs])
    if (epoch === null) return undefined
    const last = await this.#ask<RawTick & { n: number; upto_seq: number; ends_window: boolean }>('load-index', [index])
    const [from = BEFORE_EVERYTHING, to] = [toTick(last, 'from', floors), toTick(last, 'to', floors)]
    if (!to) throw new Error(`Batch ${last.n} of index ${index} has no window`)
    const place = last.ends_window ? { from: to, to: undefined, afterSeq: 0 } : { from, to, afterSeq: last.upto_seq }
    return { epoch, n: last.n, place }
  }

  /** False: the index is another owner's. */
  async renew(epoch: number): Promise<boolean> {
    const { index, owner, leaseMs } = this.#options
    return (await this.#ask<{ is_owner: boolean }>('renew-index', [index, owner, epoch, leaseMs])).is_owner
  }

  /** Lets others take it. */
  async leave(epoch: number): Promise<void> {
    await this.#ask('leave-index', [this.#options.index, this.#options.owner, epoch])
  }

  /**
   * Writes down what is about to be submitted; to be called after the rows of its documents were read. Undefined: the index is another
   * owner's, and nothing may be submitted.
   */
  async intend(batch: IndexBatch): Promise<IntendedIndexBatch | undefined> {
    const { to } = batch
    const request = JSON.stringify({
      owner: this.#options.owner,
      index_name: this.#options.index,
      epoch: batch.epoch,
      n: batch.n,
      tick: to.id === undefined ? { snapshot: to.snapshot.text, low: to.low, high: to.high } : null,
      from_tick: batch.from.id ?? null,
      to_tick: to.id ?? null,
      after_seq: batch.afterSeq,
      upto_seq: batch.uptoSeq,
      ends_window: batch.endsWindow,
      documents: batch.documents,
    })
    type Answer = { tick: number | null; low: number; xid: string }
    const { answer } = await this.#ask<{ answer: Answer | null }>('intend-index-batch', [request])
    if (!answer) return undefined
    const { tick, low, xid } = answer
    return { to: { ...to, id: tick ?? to.id }, anchor: { low, xid: BigInt(xid) } }
  }

  /** A batch is in the index, but for what is parked of it. False: the index is another owner's, which brings it again. */
  async settle({ epoch, n }: Pick<IndexBatch, 'epoch' | 'n'>): Promise<boolean> {
    const { index, owner } = this.#options
    return (await this.#ask<{ is_owner: boolean }>('settle-index-batch', [index, owner, epoch, n])).is_owner
  }

  /** How far it is behind the log. Undefined: it has not begun. */
  async standing(doctypes: readonly string[]): Promise<IndexStanding | undefined> {
    type Raw = { waiting: number; oldest_at: Date | null; owner: string | null; settled_lately: number }
    const values = [this.#options.index, doctypes, MOST_COUNTED]
    const [row] = await this.#connection.query<Raw>(this.#sql['stand-of-index'], values)
    return (
      row && {
        waiting: row.waiting,
        oldestWaitingAt: row.oldest_at ?? undefined,
        owner: row.owner ?? undefined,
        settledLately: row.settled_lately,
      }
    )
  }

  /** The index is no more: the log keeps nothing for it, and nobody can take it. */
  async forget(): Promise<void> {
    await this.#connection.query(this.#sql['forget-index'], [this.#options.index])
  }

  async #ask<Row>(name: (typeof NAMES)[number], values: readonly unknown[]): Promise<Row> {
    const [row] = await this.#connection.query<Row>(this.#sql[name], values, { name: `moca-${name}` })
    if (!row) throw new Error(`${name} returned nothing`)
    return row
  }
}
