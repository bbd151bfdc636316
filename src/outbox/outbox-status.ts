import { SchemaError } from '../errors.ts'
import type { Queryable } from '../postgres/connection.ts'
import type { Standstill } from './lane.ts'
import { loadStatements } from './statements.ts'

/** Where a lane of a sink stands. */
export interface LaneStatus {
  readonly sink: string
  readonly lane: number
  readonly epoch: number
  /** The relay that owns it and is alive. */
  readonly owner?: string
  readonly ownedSince?: Date
  /** Of its last batch, 0 before the first. */
  readonly n: number
  readonly digest: string
  /** Whether that one is known to have been taken. */
  readonly isTaken: boolean
  /** Rows that are not known to have been taken, without those of parked keys. */
  readonly waiting: number
  readonly oldestAt?: Date
  readonly standstill?: Standstill & { readonly since: Date }
}

export interface SinkStatus {
  readonly sink: string
  readonly waiting: number
  /** Age of the oldest row that waits, by PostgreSQL's clock. */
  readonly oldestWaitingMs?: number
  readonly parkedKeys: number
  readonly parkedRows: number
  readonly lanes: readonly LaneStatus[]
  readonly lanesWithoutOwner: readonly number[]
}

export interface RelayStatus {
  readonly id: string
  readonly host: string
  readonly pid: number
  readonly startedAt: Date
}

/** Batches that a sink had forgotten, and that were sent again. */
export interface Resent {
  readonly sink: string
  readonly lane: number
  readonly fromN: number
  readonly uptoN: number
  readonly rows: number
  readonly at: Date
}

/** A wish of an operator that is not fulfilled: what the sink forgot is to be sent again, from a batch on. */
export interface OpenRedrive {
  readonly id: number
  readonly sink: string
  readonly lane: number
  readonly fromN: number
  readonly wishedBy?: string
  readonly at: Date
}

export interface OutboxStatus {
  readonly logId: string
  /** False: the database was copied to another server, and nothing is relayed until it is rebased. */
  readonly isHome: boolean
  /** PostgreSQL's clock. */
  readonly at: Date
  readonly relays: readonly RelayStatus[]
  /** Empty: nobody has ever relayed. */
  readonly sinks: readonly SinkStatus[]
  readonly redrives: readonly OpenRedrive[]
  readonly resent: readonly Resent[]
}

interface RawLane {
  readonly sink: string
  readonly lane: number
  readonly epoch: number
  readonly relay: string | null
  readonly is_owned: boolean
  readonly owned_since: Date
  readonly n: number
  readonly digest: string | null
  readonly is_acked: boolean
  readonly waiting: number
  readonly oldest_at: Date | null
  readonly reason: Standstill['reason'] | null
  readonly found: number | null
  readonly expected: number | null
  readonly standing_since: Date | null
}

const NAMES = ['list-lanes', 'list-relays', 'count-parked', 'list-resent', 'list-redrives', 'load-deployment'] as const
/** As many of what was sent again as is worth showing. */
const MOST_RESENT = 20
/** Counting what waits may take a while after a long outage. */
const PATIENCE = { replyTimeoutMs: 120_000 }

/** What stands where in the outbox. */
export class OutboxReader {
  readonly #database: Queryable
  readonly #sql: Readonly<Record<(typeof NAMES)[number], string>>
  readonly #schema: string

  constructor(database: Queryable, schema: string) {
    this.#database = database
    this.#schema = schema
    this.#sql = loadStatements(NAMES, schema)
  }

  async status(): Promise<OutboxStatus> {
    const { logId, isHome, at } = await this.deployment()
    const lanes = await this.lanes()
    const parked = await this.#database.query<{ sink: string; keys: number; rows: number }>(this.#sql['count-parked'])
    const sinks = [...new Set(lanes.map(({ sink }) => sink))].map((sink) => {
      const { keys: parkedKeys = 0, rows: parkedRows = 0 } = parked.find((each) => each.sink === sink) ?? {}
      const own = lanes.filter((lane) => lane.sink === sink)
      return { ...sumUp(sink, own, at), parkedKeys, parkedRows, lanes: own }
    })
    return { logId, isHome, at, relays: await this.relays(), sinks, ...(await this.#resending()) }
  }

  /** Rejects with SchemaError when there is no log. */
  async deployment(): Promise<{ readonly logId: string; readonly isHome: boolean; readonly at: Date }> {
    type Raw = { log_id: string; is_home: boolean; at: Date }
    const [row] = await this.#database.query<Raw>(this.#sql['load-deployment'])
    if (!row) throw new SchemaError(`Schema ${this.#schema} is empty. Run moca migrate.`, { schema: this.#schema })
    return { logId: row.log_id, isHome: row.is_home, at: row.at }
  }

  /** All lanes of all sinks. */
  async lanes(): Promise<LaneStatus[]> {
    return (await this.#database.query<RawLane>(this.#sql['list-lanes'], [], PATIENCE)).map(toLane)
  }

  /** Those that are alive. */
  async relays(): Promise<RelayStatus[]> {
    type Raw = { id: string; host: string; pid: number; started_at: Date }
    const rows = await this.#database.query<Raw>(this.#sql['list-relays'])
    return rows.map(({ started_at, ...relay }) => ({ ...relay, startedAt: started_at }))
  }

  async #resending(): Promise<Pick<OutboxStatus, 'redrives' | 'resent'>> {
    type RawRedrive = { id: number; sink: string; lane: number; from_n: number; wished_by: string | null; at: Date }
    type RawResent = { sink: string; lane: number; from_n: number; upto_n: number; rows: number; at: Date }
    const redrives = await this.#database.query<RawRedrive>(this.#sql['list-redrives'])
    const resent = await this.#database.query<RawResent>(this.#sql['list-resent'], [MOST_RESENT])
    return {
      redrives: redrives.map(({ from_n, wished_by, ...wish }) => ({
        ...wish,
        fromN: from_n,
        ...(wished_by !== null && { wishedBy: wished_by }),
      })),
      resent: resent.map(({ from_n, upto_n, ...batches }) => ({ ...batches, fromN: from_n, uptoN: upto_n })),
    }
  }
}

function sumUp(
  sink: string,
  lanes: readonly LaneStatus[],
  at: Date,
): Pick<SinkStatus, 'sink' | 'waiting' | 'oldestWaitingMs' | 'lanesWithoutOwner'> {
  const oldest = Math.min(...lanes.map(({ oldestAt }) => oldestAt?.getTime() ?? Infinity))
  return {
    sink,
    waiting: lanes.reduce((sum, { waiting }) => sum + waiting, 0),
    ...(oldest < Infinity && { oldestWaitingMs: Math.max(0, at.getTime() - oldest) }),
    lanesWithoutOwner: lanes.filter(({ owner }) => owner === undefined).map(({ lane }) => lane),
  }
}

function toLane(row: RawLane): LaneStatus {
  const { sink, lane, epoch, relay, n, digest, waiting, reason, found, expected, standing_since: since } = row
  const standstill = reason !== null && found !== null && expected !== null && since !== null
  return {
    sink,
    lane,
    epoch,
    ...(row.is_owned && relay !== null && { owner: relay, ownedSince: row.owned_since }),
    n,
    digest: digest ?? '',
    isTaken: row.is_acked,
    waiting,
    ...(row.oldest_at && { oldestAt: row.oldest_at }),
    ...(standstill && { standstill: { reason, found, expected, since } }),
  }
}
