import type { LogRow } from './log-row.ts'
import { endedBetween, type Tick } from './snapshot.ts'

/** What of the log a lane is at: what became visible between two ticks, above a seq. */
export interface Window {
  readonly lane: number
  readonly from: Tick
  readonly to: Tick
  /** What of it has been sent: rows up to this seq. */
  readonly afterSeq: number
  /** Read again: rows up to this seq. Undefined: all. */
  readonly uptoSeq?: number
}

/** At most so much is read for a batch: Redis works through it in one go, and somebody keeps it in memory. */
export interface BatchLimits {
  readonly rows: number
  readonly bytes: number
}

/** The next rows of a window, in order, and whether they are its last. */
export interface Reading {
  readonly rows: readonly LogRow[]
  readonly isLast: boolean
}

/** Sees every row. */
const SEES_ALL = '9223372036854775807:9223372036854775807:'

/**
 * The two statements that read windows, each with its lines: one per lane, one per lane and late transaction. A window that begins in one
 * life of the log and ends in another (docs/decisions/0039-rebase.md) takes three lines: rows that its beginning can tell apart by their
 * transactions; later ones up to the floor, which had all been committed then; and those of the later life.
 */
export function readArguments(windows: readonly Window[]) {
  const begun = {
    lanes: [] as number[],
    above: [] as number[],
    high: [] as number[],
    xmax: [] as string[],
    seen: [] as string[],
  }
  const late = { lanes: [] as number[], above: [] as number[], upto: [] as number[], xids: [] as string[] }
  for (const { lane, from, to, afterSeq, uptoSeq = to.high } of windows) {
    const upto = Math.min(uptoSeq, to.high)
    const isOneLife = from.floor === to.floor
    const [xmax, seen] = [String(from.snapshot.xmax), to.snapshot.text]
    const lines = isOneLife
      ? [{ above: from.low, high: upto, xmax, seen }]
      : [
          { above: from.low, high: Math.min(upto, from.high), xmax, seen: SEES_ALL },
          { above: from.high, high: Math.min(upto, to.floor), xmax: '1', seen: SEES_ALL },
          { above: to.floor, high: upto, xmax: '1', seen },
        ]
    for (const line of lines) {
      begun.lanes.push(lane)
      begun.above.push(Math.max(afterSeq, line.above))
      begun.high.push(line.high)
      begun.xmax.push(line.xmax)
      begun.seen.push(line.seen)
    }
    for (const xid of isOneLife ? endedBetween(from.snapshot, to.snapshot) : from.snapshot.inProgress) {
      late.lanes.push(lane)
      // Not of an earlier life, whose transactions had ids of the same kind.
      late.above.push(Math.max(afterSeq, from.floor))
      late.upto.push(isOneLife ? upto : Math.min(upto, from.high))
      late.xids.push(xid)
    }
  }
  return { begun, late }
}

/**
 * Puts together what the two statements found of one lane. Each gave the first rows of its kind up to the limits, so the first rows of
 * both together, up to the same limits, are the first of the window; it is used up when nothing was left behind.
 */
export function mergeRows(rows: readonly LogRow[], limits: BatchLimits): Reading {
  const sorted = rows.toSorted((a, b) => a.seq - b.seq)
  const taken: LogRow[] = []
  let bytes = 0
  for (const row of sorted) {
    if (taken.length >= limits.rows || bytes >= limits.bytes) break
    taken.push(row)
    bytes += row.bytes
  }
  // As long as one kind can have been cut off by the limits, so was the sum of both.
  return { rows: taken, isLast: taken.length < limits.rows && bytes < limits.bytes }
}
