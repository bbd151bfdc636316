/** What PostgreSQL's pg_snapshot says: which transactions had ended when it was taken. */
export interface Snapshot {
  /** As PostgreSQL writes it: `xmin:xmax:xip,xip,...` */
  readonly text: string
  /** One more than the highest transaction that had ended. Those from here on had not ended; they may have begun long before. */
  readonly xmax: bigint
  /** Transactions below xmax that were in progress. */
  readonly inProgress: ReadonlySet<string>
}

/** A snapshot, and what it says of the log's sequence. Written down (`id`) with the first batch that needs it. */
export interface Tick {
  readonly id: number | undefined
  readonly snapshot: Snapshot
  /** Rows of transactions that are not below the snapshot's xmax have a higher seq. */
  readonly low: number
  /** Rows that the snapshot sees have no higher seq. */
  readonly high: number
  /**
   * Rows up to this seq were recorded in an earlier life of the log, and are seen; transaction ids of two lives have nothing to do with
   * each other (docs/decisions/0039-rebase.md). 0: there was none.
   */
  readonly floor: number
}

export function parseSnapshot(text: string): Snapshot {
  const match = /^\d+:(\d+):([\d,]*)$/.exec(text)
  if (!match) throw new TypeError(`Expected a pg_snapshot like 10:20:10,14; found ${JSON.stringify(text)}`)
  const [, xmax = '', list = ''] = match
  return { text, xmax: BigInt(xmax), inProgress: new Set(list === '' ? [] : list.split(',')) }
}

/** Sees nothing: before the first batch of a lane. */
export const BEFORE_EVERYTHING: Tick = Object.freeze({
  id: undefined,
  snapshot: parseSnapshot('1:1:'),
  low: 0,
  high: 0,
  floor: 0,
})

/** The transactions that were in progress at `from` and have ended at `to`. */
export function endedBetween(from: Snapshot, to: Snapshot): string[] {
  return [...from.inProgress].filter((xid) => !to.inProgress.has(xid))
}

/** A transaction, and a seq above which all transactions after it draw. */
export interface Anchor {
  readonly xid: bigint
  readonly low: number
}

/**
 * Whether no row can have become visible since a tick, when the last seq that was drawn is `drawn`. A row that the tick does not see
 * belongs to a transaction that is not below its xmax, then its seq is above `low`, or to one that was in progress, then it must have
 * ended.
 */
export function isNothingNew(last: Tick, now: Snapshot, drawn: number): boolean {
  return drawn === last.low && endedBetween(last.snapshot, now).length === 0
}

/** Whether a tick was taken before another one, or sees the same: what it sees the other one sees, too. */
export function isAtOrBefore(tick: Tick, other: Tick): boolean {
  if (tick.floor !== other.floor) return tick.floor < other.floor
  if (tick.snapshot.xmax !== other.snapshot.xmax) return tick.snapshot.xmax < other.snapshot.xmax
  return tick.snapshot.inProgress.size >= other.snapshot.inProgress.size
}

/** Whether a tick sees a row that was committed. */
export function isSeen(
  { seq, xid }: { readonly seq: number; readonly xid: string },
  { snapshot, floor, high }: Pick<Tick, 'snapshot' | 'floor' | 'high'>,
): boolean {
  if (seq <= floor) return true
  if (seq > high) return false
  return BigInt(xid) < snapshot.xmax && !snapshot.inProgress.has(xid)
}

/** Which of these floors, ascending, is that of a tick which comes up to `high`. */
export function floorBelow(high: number, floors: readonly number[]): number {
  return floors.findLast((floor) => floor <= high) ?? 0
}
