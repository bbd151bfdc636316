import { type Clock, systemClock } from '../clock.ts'
import type { Queryable } from '../postgres/connection.ts'
import { loadStatements } from './statements.ts'

/** What an operator may wish of a parked key. skip leaves out its first row for good, discard all that waits. */
export type ParkedKeyWish = 'retry' | 'skip' | 'discard'

/** A key with which a sink does not go on, because of its first row. */
export interface ParkedKeyView {
  /** Of this parking: a key may be parked again later. */
  readonly parking: number
  readonly sink: string
  readonly lane: number
  readonly key: string
  readonly reason: string
  readonly error: string
  readonly since: Date
  /** Its first row, where the log still has it. */
  readonly first?: {
    readonly id: string
    readonly kind: 'event' | 'job'
    readonly topic: string
    readonly type: string
  }
  /** Rows behind the first. */
  readonly behind: number
  /** What somebody wishes of it, and a relay has not fulfilled yet. */
  readonly wish?: ParkedKeyWish
  readonly wishedBy?: string
}

/** What became of a wish: the key is free, its next row was refused (with the error), or no relay has fulfilled it yet. */
export interface WishOutcome {
  readonly parking: number
  readonly outcome: 'freed' | 'refused' | 'waiting'
  readonly error?: string
}

interface RawKey {
  readonly parking: number
  readonly sink: string
  readonly lane: number
  readonly key: string
  readonly reason: string
  readonly error: string
  readonly at: Date
  readonly wish: ParkedKeyWish | null
  readonly wished_by: string | null
  readonly id: string | null
  readonly kind: 'event' | 'job'
  readonly topic: string
  readonly type: string
  readonly rows: number
}

const NAMES = ['list-parked-keys', 'wish-of-parked-keys', 'look-at-parkings'] as const
const POLL_MS = 200
const MOST = 10_000

/** Parked keys, and what operators wish of them. Lanes' owners fulfil it (plan.ts). */
export class ParkedKeys {
  readonly #database: Queryable
  readonly #sql: Readonly<Record<(typeof NAMES)[number], string>>
  readonly #clock: Clock

  constructor(database: Queryable, schema: string, clock: Clock = systemClock) {
    this.#database = database
    this.#sql = loadStatements(NAMES, schema)
    this.#clock = clock
  }

  /** Those that wait longest first, at most 10,000. */
  async list({
    sink,
    key,
  }: {
    readonly sink?: string | undefined
    readonly key?: string | undefined
  } = {}): Promise<ParkedKeyView[]> {
    const rows = await this.#database.query<RawKey>(this.#sql['list-parked-keys'], [sink ?? null, key ?? null, MOST])
    return rows.map(toView)
  }

  async wish(parkings: readonly number[], wish: ParkedKeyWish, by: string): Promise<void> {
    await this.#database.query(this.#sql['wish-of-parked-keys'], [parkings, wish, by])
  }

  /** What became of wishes, at the latest when the signal aborts. */
  async outcomes(parkings: readonly number[], signal: AbortSignal): Promise<WishOutcome[]> {
    for (;;) {
      const found = await this.#look(parkings)
      if (signal.aborted || found.every(({ outcome }) => outcome !== 'waiting')) return found
      await this.#clock.wait(POLL_MS, signal)
    }
  }

  async #look(parkings: readonly number[]): Promise<WishOutcome[]> {
    type Raw = { id: number; is_free: boolean; wish: string | null; error: string }
    const rows = await this.#database.query<Raw>(this.#sql['look-at-parkings'], [parkings])
    return rows.map(({ id: parking, is_free, wish, error }) => {
      if (is_free) return { parking, outcome: 'freed' }
      return wish === null ? { parking, outcome: 'refused', error } : { parking, outcome: 'waiting' }
    })
  }
}

function toView({ parking, sink, lane, key, reason, error, at, wish, wished_by, id, kind, topic, type, rows }: RawKey) {
  return {
    parking,
    sink,
    lane,
    key,
    reason,
    error,
    since: at,
    ...(id !== null && { first: { id, kind, topic, type } }),
    behind: Math.max(0, rows - 1),
    ...(wish !== null && { wish }),
    ...(wished_by !== null && wish !== null && { wishedBy: wished_by }),
  }
}
