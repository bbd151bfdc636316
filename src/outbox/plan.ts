import { digestOf } from './digest.ts'
import type { CatchUp, Lane } from './lane.ts'
import type { LogRow } from './log-row.ts'
import type { IntentRequest, NewBatch } from './relay-store.ts'
import type { Refusal, Sink } from './sinks/sink.ts'
import type { Reading, Window } from './window.ts'

/** What a lane would send next, before its intent is written down. */
export interface Plan<Content = unknown> {
  readonly lane: Lane
  /** Undefined for a batch of parked rows. */
  readonly window: Window | undefined
  /** For whom alone it is. */
  readonly catchUp?: CatchUp
  readonly batch: NewBatch
  readonly content: Content
  readonly parkedKeys: IntentRequest['parkedKeys']
  readonly parked: IntentRequest['parked']
  readonly leaving: IntentRequest['leaving']
  readonly refusedAgain: IntentRequest['refusedAgain']
}

/** Under what a row without a key is parked: itself alone. */
function parkingKey(row: LogRow): string {
  return row.key ?? `#${row.id}`
}

/** The next batch of a window. Rows of parked keys, and of those that park themselves, stay behind: in order, with their number. */
export async function planWindow<Content>(
  lane: Lane,
  window: Window,
  reading: Reading,
  sink: Sink<Content>,
  version: number,
): Promise<Plan<Content>> {
  const n = lane.n + 1
  const { sending, staying, newKeys } = sortOut(lane, reading.rows)
  const made = await prepareHealthy(sending, sink, version, n)
  for (const { row, refusal } of made.refused) newKeys.push(parkedKeyOf(lane, row, refusal))
  // What the sink left for the next batch stays in the window, and so does what is parked behind it.
  const firstLeft = made.left[0]?.seq ?? Infinity
  const parked = [...staying, ...made.staying].filter(({ seq }) => seq < firstLeft)
  const uptoSeq = Math.max(made.rows.at(-1)?.seq ?? 0, ...parked.map(({ seq }) => seq))
  return {
    lane,
    window,
    batch: {
      lane: lane.number,
      n,
      epoch: lane.epoch,
      fromTick: lane.place.from.id,
      toTick: lane.place.to?.id,
      afterSeq: lane.place.afterSeq,
      uptoSeq,
      endsWindow: reading.isLast && firstLeft === Infinity,
      rows: made.rows.length,
      digest: digestOf(made.rows),
    },
    content: made.content,
    parkedKeys: newKeys.filter(({ firstSeq }) => firstSeq < firstLeft),
    parked: parked.map((row) => ({ lane: lane.number, seq: row.seq, key: parkingKey(row), n })),
    leaving: [],
    refusedAgain: [],
  }
}

/**
 * The next batch for a subscription that begins in the past: what it wants of rows that the lane has left behind. Nothing of it can be
 * refused, since nothing of it was.
 */
export async function planCatchUp<Content>(
  lane: Lane,
  catchUp: CatchUp,
  window: Window,
  reading: Reading,
  sink: Sink<Content>,
  version: number,
): Promise<Plan<Content>> {
  const n = lane.n + 1
  const { rows, content } = await sink.prepare(reading.rows, { version, n, only: catchUp })
  return {
    lane,
    window,
    catchUp,
    batch: {
      lane: lane.number,
      n,
      epoch: lane.epoch,
      fromTick: catchUp.place.from.id,
      toTick: window.to.id,
      afterSeq: window.afterSeq,
      uptoSeq: rows.at(-1)?.seq ?? window.to.high,
      endsWindow: reading.isLast && rows.length === reading.rows.length,
      rows: rows.length,
      digest: digestOf(rows),
      catchUp: catchUp.id,
    },
    content,
    parkedKeys: [],
    parked: [],
    leaving: [],
    refusedAgain: [],
  }
}

/** Splits rows into those of parked keys and the others. */
function sortOut(lane: Lane, rows: readonly LogRow[]) {
  const sending: LogRow[] = []
  const staying: LogRow[] = []
  for (const row of rows) (lane.parkedKeys.has(parkingKey(row)) ? staying : sending).push(row)
  const newKeys: IntentRequest['parkedKeys'][number][] = []
  return { sending, staying, newKeys }
}

/** Prepares rows again and again without those that the sink refuses, and without what is behind them under the same key. */
async function prepareHealthy<Content>(rows: readonly LogRow[], sink: Sink<Content>, version: number, n: number) {
  const refused: { readonly row: LogRow; readonly refusal: Refusal }[] = []
  let staying: LogRow[] = []
  let sending = rows
  for (;;) {
    const prepared = await sink.prepare(sending, { version, n })
    const refusals = new Map(prepared.refused.map((refusal) => [refusal.seq, refusal]))
    if (refusals.size === 0) {
      const left = sending.slice(prepared.rows.length)
      return { rows: prepared.rows, left, content: prepared.content, refused, staying }
    }
    const keys = new Set<string>()
    const healthy: LogRow[] = []
    const behind: LogRow[] = []
    for (const row of sending) {
      const key = parkingKey(row)
      const refusal = refusals.get(row.seq)
      if (refusal && !keys.has(key)) {
        keys.add(key)
        refused.push({ row, refusal })
      }
      ;(keys.has(key) ? behind : healthy).push(row)
    }
    staying = [...staying, ...behind]
    sending = healthy
  }
}

function parkedKeyOf(lane: Lane, row: LogRow, { reason, error, seq }: Refusal): IntentRequest['parkedKeys'][number] {
  return { lane: lane.number, key: parkingKey(row), reason, error, firstSeq: seq }
}

/**
 * What an operator wishes of a parked key. skip leaves its first row out for good, discard all that wait; then the rest leaves, in a
 * batch of its own. `rows`: the key's next waiting rows.
 */
export async function planWish<Content>(
  lane: Lane,
  key: string,
  rows: readonly LogRow[],
  sink: Sink<Content>,
  version: number,
): Promise<Plan<Content>> {
  const wish = lane.parkedKeys.get(key)?.wish
  const first = rows[0]
  const dropped = wish === 'discard' ? rows : wish === 'skip' && first && isFirstOf(lane, key, first) ? [first] : []
  const remaining = rows.slice(dropped.length)
  const n = lane.n + 1
  const prepared = await sink.prepare(remaining, { version, n })
  const [refusal] = prepared.refused
  // A key's rows go in order: nothing behind one that is refused again.
  const sent = refusal
    ? remaining.slice(
        0,
        remaining.findIndex(({ seq }) => seq === refusal.seq),
      )
    : prepared.rows
  const again = refusal && sent.length < remaining.length ? await sink.prepare(sent, { version, n }) : prepared
  return {
    lane,
    window: undefined,
    batch: {
      lane: lane.number,
      n,
      epoch: lane.epoch,
      fromTick: lane.place.from.id,
      toTick: (lane.place.to ?? lane.place.from).id,
      afterSeq: lane.place.afterSeq,
      uptoSeq: lane.place.afterSeq,
      endsWindow: lane.place.to === undefined,
      rows: again.rows.length,
      digest: digestOf(again.rows),
      unparkedKey: key,
    },
    content: again.content,
    parkedKeys: [],
    parked: [],
    leaving: [...span(lane, key, dropped, 0), ...span(lane, key, again.rows, n)],
    refusedAgain: refusal
      ? [{ lane: lane.number, key, reason: refusal.reason, error: refusal.error, firstSeq: refusal.seq }]
      : [],
  }
}

function isFirstOf(lane: Lane, key: string, row: LogRow): boolean {
  return lane.parkedKeys.get(key)?.firstSeq === row.seq
}

function span(lane: Lane, key: string, rows: readonly LogRow[], n: number): IntentRequest['leaving'] {
  const [first, last] = [rows[0], rows.at(-1)]
  return first && last ? [{ lane: lane.number, key, fromSeq: first.seq, uptoSeq: last.seq, n }] : []
}
