import { ConfigError } from '../errors.ts'
import type { Queryable } from '../postgres/connection.ts'
import { type LaneStatus, OutboxReader } from './outbox-status.ts'
import type { SinkPosition, SinkPositions } from './sinks/sink-positions.ts'
import { loadStatements } from './statements.ts'

/** What a rebase means for a lane. */
export interface LaneRebase {
  readonly sink: string
  readonly lane: number
  /** PostgreSQL's last batch, 0: none. */
  readonly n: number
  /** The sink's, undefined: it has nothing of this lane. */
  readonly sinkN?: number
  /** Whether the sink's number is of another log. */
  readonly isForeign: boolean
  /** Batches that the sink took and PostgreSQL does not know. */
  readonly unknownBatches: number
  /** Batch with which the sink is to go on, less one. */
  readonly continuesAfter: number
  /** Batches that PostgreSQL knows, that the sink is not known to have, and the rows in them: these are sent again. */
  readonly missing: { readonly batches: number; readonly rows: number }
  /** Rows that no batch has brought yet. They are sent as ever. */
  readonly waiting: number
}

export interface RebaseResult {
  readonly logId: string
  readonly lanes: readonly LaneRebase[]
}

const NAMES = ['rebase', 'leave', 'list-log-ids', 'count-batches'] as const
/** Its owner, while a rebase is under way. */
const REBASE = 'rebase'
/** It waits for those who are recording. */
const PATIENCE = { replyTimeoutMs: 60_000 }

/**
 * Accepts the present database as the truth, after it was put back, copied or replaced (docs/decisions/0039-rebase.md). What the sink did
 * with batches that PostgreSQL does not know any more stays done.
 */
export class Rebase {
  readonly #database: Queryable
  readonly #reader: OutboxReader
  readonly #sinks: readonly SinkPositions[]
  readonly #sql: Readonly<Record<(typeof NAMES)[number], string>>

  constructor(database: Queryable, schema: string, sinks: readonly SinkPositions[]) {
    this.#database = database
    this.#reader = new OutboxReader(database, schema)
    this.#sinks = sinks
    this.#sql = loadStatements(NAMES, schema)
  }

  /** What it would do, as things are now. */
  async plan(): Promise<LaneRebase[]> {
    const found = await this.#positions()
    return this.#compare(await this.#lanes(found), found)
  }

  /**
   * Does it. Killed half way it has changed nothing for any sink, or is complete but for lanes that stand for a minute; twice is harmless.
   * `by`: who wishes it.
   */
  async run(by: string): Promise<RebaseResult> {
    const before = await this.#positions()
    const known = await this.#lanes(before)
    const epochs = known.map(({ sink, lane }) => {
      return { sink, lane, epoch: before.get(sink)?.get(lane)?.epoch ?? 0 }
    })
    type Answer = { log_id: string; floor: number }
    const [row] = await this.#database.query<{ answer: Answer }>(
      this.#sql.rebase,
      [JSON.stringify({ by, epochs })],
      PATIENCE,
    )
    if (!row) throw new Error('rebase() returned nothing')
    const { log_id: logId } = row.answer
    // Nobody intends any more. What was under way may still arrive between this look and what is set: it would be sent once more.
    const found = await this.#positions()
    const lanes = await this.#lanes(found)
    const comparison = await this.#compare(lanes, found)
    for (const sink of this.#sinks) await sink.setPositions(positionsOf(sink.name, logId, lanes, comparison))
    await this.#release(logId)
    return { logId, lanes: comparison }
  }

  /** Relays may go on, unless another rebase has begun meanwhile. */
  async #release(logId: string): Promise<void> {
    const { logId: present } = await this.#reader.deployment()
    if (present !== logId) throw new Error('Another rebase ran at the same time. Run moca outbox rebase once more.')
    await this.#database.query(this.#sql.leave, [REBASE])
  }

  async #positions(): Promise<ReadonlyMap<string, ReadonlyMap<number, SinkPosition>>> {
    const entries = this.#sinks.map(async (sink) => [sink.name, await sink.positions()] as const)
    return new Map(await Promise.all(entries))
  }

  /** All lanes that PostgreSQL or a sink knows. */
  async #lanes(found: ReadonlyMap<string, ReadonlyMap<number, SinkPosition>>): Promise<LaneStatus[]> {
    const lanes = await this.#reader.lanes()
    const stranger = lanes.find(({ sink }) => !found.has(sink))
    if (stranger) {
      throw new ConfigError(`The log was relayed to sink ${stranger.sink}, too, which is not configured here`, {
        option: 'outbox',
        found: stranger.sink,
      })
    }
    const isKnown = (sink: string, lane: number) => lanes.some((each) => each.sink === sink && each.lane === lane)
    const others = [...found].flatMap(([sink, positions]) =>
      [...positions.keys()]
        .filter((lane) => !isKnown(sink, lane))
        .map((lane) => ({ sink, lane, epoch: 0, n: 0, digest: '', isTaken: true, waiting: 0 })),
    )
    return [...lanes, ...others]
  }

  async #compare(
    lanes: readonly LaneStatus[],
    found: ReadonlyMap<string, ReadonlyMap<number, SinkPosition>>,
  ): Promise<LaneRebase[]> {
    const ids = await this.#database.query<{ log_id: string }>(this.#sql['list-log-ids'])
    const ownIds = new Set(ids.map(({ log_id }) => log_id))
    const result: LaneRebase[] = []
    for (const lane of lanes) {
      const position = found.get(lane.sink)?.get(lane.lane)
      const isForeign = position !== undefined && !ownIds.has(position.logId)
      const continuesAfter = judge(lane, position, isForeign)
      result.push({
        sink: lane.sink,
        lane: lane.lane,
        n: lane.n,
        ...(position && { sinkN: position.n }),
        isForeign,
        unknownBatches: position && !isForeign ? Math.max(0, position.n - lane.n) : 0,
        continuesAfter,
        missing: { batches: lane.n - continuesAfter, rows: await this.#countRows(lane, continuesAfter) },
        waiting: lane.isTaken ? lane.waiting : Math.max(0, lane.waiting - (await this.#countRows(lane, lane.n - 1))),
      })
    }
    return result
  }

  async #countRows({ sink, lane, n }: LaneStatus, after: number): Promise<number> {
    if (after >= n) return 0
    const [row] = await this.#database.query<{ rows: number }>(this.#sql['count-batches'], [sink, lane, after, n])
    return row?.rows ?? 0
  }
}

/**
 * The last batch that the sink is believed to have. One that is known to have been taken was; another one only if the sink says so by its
 * digest, for after PostgreSQL was put back a relay may have given a number to other rows. To send twice is better than to lose.
 */
function judge({ n, digest, isTaken }: LaneStatus, position: SinkPosition | undefined, isForeign: boolean): number {
  // Of another log's numbers nothing follows for ours.
  const reached = isForeign ? Infinity : (position?.n ?? 0)
  if (isTaken) return Math.min(n, reached)
  const isThere = !isForeign && position?.n === n && position.digest === digest
  return isThere ? n : Math.max(0, Math.min(n - 1, reached))
}

function positionsOf(sink: string, logId: string, lanes: readonly LaneStatus[], comparison: readonly LaneRebase[]) {
  const positions = new Map<number, SinkPosition | undefined>()
  for (const { lane, n, continuesAfter } of comparison.filter((each) => each.sink === sink)) {
    const { epoch = 0, digest = '' } = lanes.find((each) => each.sink === sink && each.lane === lane) ?? {}
    const position = { logId, n: continuesAfter, epoch, digest: continuesAfter === n ? digest : '' }
    positions.set(lane, continuesAfter === 0 ? undefined : position)
  }
  return positions
}
