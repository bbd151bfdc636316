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

/** The two statements that read windows, each with its lines: one per lane, one per lane and late transaction. */
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
    begun.lanes.push(lane)
    begun.above.push(Math.max(afterSeq, from.low))
    begun.high.push(upto)
    begun.xmax.push(String(from.snapshot.xmax))
    begun.seen.push(to.snapshot.text)
    for (const xid of endedBetween(from.snapshot, to.snapshot)) {
      late.lanes.push(lane)
      late.above.push(afterSeq)
      late.upto.push(upto)
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
