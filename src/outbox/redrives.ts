import { type Clock, systemClock } from '../clock.ts'
import type { Queryable } from '../postgres/connection.ts'
import type { Standstill } from './lane.ts'
import { loadStatements } from './statements.ts'

/** Batches, and the rows in them. */
export interface Amount {
  readonly batches: number
  readonly rows: number
}

/** What redriving means for a lane. */
export interface LaneRedrive {
  readonly sink: string
  readonly lane: number
  /** The first batch at or after the instant; one more than the last where there is none. */
  readonly fromN: number
  /** The last batch. */
  readonly uptoN: number
  /** What the sink is known to have forgotten and is sent again. A lane that does not stand still is not known to have lost anything. */
  readonly missing: Amount
  /** What it forgot, too, and that is older than the instant: it is left out for good. */
  readonly older: Amount
  /** Set where sending again cannot help: the lane waits for a rebase. */
  readonly standstill?: Exclude<Standstill['reason'], 'forgot'>
}

export interface RedriveProgress {
  /** Lanes whose owners have not fulfilled it. */
  readonly open: number
  /** Rows sent again so far. */
  readonly rows: number
}

interface RawPlan {
  readonly sink: string
  readonly lane: number
  readonly n: number
  readonly from_n: number
  readonly reason: Standstill['reason'] | null
  readonly missing_batches: number
  readonly missing_rows: number
  readonly older_batches: number
  readonly older_rows: number
}

const NAMES = ['plan-redrives', 'wish-redrives', 'look-at-redrives'] as const
const POLL_MS = 200

/**
 * Sends again what sinks forgot, however old it is. Only that: a lane is never wound back behind what its sink has, for it would be done
 * twice (see `moca events replay` for that). Whether something is missing the lane's owner finds out by the sink's own word, so that wishing
 * twice, or for a lane that lost nothing, sends nothing.
 */
export class Redrives {
  readonly #database: Queryable
  readonly #sql: Readonly<Record<(typeof NAMES)[number], string>>
  readonly #clock: Clock

  constructor(database: Queryable, schema: string, clock: Clock = systemClock) {
    this.#database = database
    this.#sql = loadStatements(NAMES, schema)
    this.#clock = clock
  }

  /** What redriving since an instant would do. Lanes that never sent anything are left out. */
  async plan(since: Date, sink?: string): Promise<LaneRedrive[]> {
    const rows = await this.#database.query<RawPlan>(this.#sql['plan-redrives'], [since, sink ?? null])
    return rows.map(toPlan)
  }

  /** Writes the wish down for lanes; returns how to ask for its progress. */
  async wish(lanes: readonly LaneRedrive[], by: string): Promise<() => Promise<RedriveProgress>> {
    const rows = await this.#database.query<{ id: number; last_resent: number }>(this.#sql['wish-redrives'], [
      lanes.map(({ sink }) => sink),
      lanes.map(({ lane }) => lane),
      lanes.map(({ fromN }) => fromN),
      by,
    ])
    const [ids, lastResent] = [rows.map(({ id }) => id), rows[0]?.last_resent ?? 0]
    return async () => {
      const [found] = await this.#database.query<{ open: number; resent_rows: number }>(this.#sql['look-at-redrives'], [
        ids,
        lastResent,
      ])
      return { open: found?.open ?? 0, rows: found?.resent_rows ?? 0 }
    }
  }

  /** Waits until all lanes' owners have fulfilled it, at most until the signal aborts. */
  async finish(
    look: () => Promise<RedriveProgress>,
    signal: AbortSignal,
    onProgress: (progress: RedriveProgress) => void = () => {},
  ): Promise<RedriveProgress> {
    for (;;) {
      const progress = await look()
      onProgress(progress)
      if (signal.aborted || progress.open === 0) return progress
      await this.#clock.wait(POLL_MS, signal)
    }
  }
}

function toPlan({ sink, lane, n, from_n, reason, ...row }: RawPlan): LaneRedrive {
  const older = { batches: row.older_batches, rows: row.older_rows }
  return {
    sink,
    lane,
    fromN: from_n,
    uptoN: n,
    missing: { batches: row.missing_batches - older.batches, rows: row.missing_rows - older.rows },
    older,
    ...(reason !== null && reason !== 'forgot' && { standstill: reason }),
  }
}
