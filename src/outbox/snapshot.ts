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

/** Whether a snapshot sees what a transaction did, provided that it committed. */
export function isVisible(xid: string, snapshot: Snapshot): boolean {
  return BigInt(xid) < snapshot.xmax && !snapshot.inProgress.has(xid)
}

/** Whether a snapshot was taken before another one of the same server, or sees the same: what it sees the other one sees, too. */
export function isAtOrBefore(snapshot: Snapshot, other: Snapshot): boolean {
  if (snapshot.xmax !== other.xmax) return snapshot.xmax < other.xmax
  return snapshot.inProgress.size >= other.inProgress.size
}
