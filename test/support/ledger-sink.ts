import type { LogRow } from '../../src/outbox/log-row.ts'
import type { SinkPosition, SinkPositions } from '../../src/outbox/sinks/sink-positions.ts'
import type { Batch, Delivery, Prepared, Refusal, Sink } from '../../src/outbox/sinks/sink.ts'

interface Taken {
  readonly logId: string
  readonly n: number
  epoch: number
  readonly digest: string
  readonly rows: readonly LogRow[]
}

/**
 * A sink that keeps what it takes in memory, by the rules of every sink (docs/decisions/0032-batches-and-leases.md): one more than the last,
 * nothing twice, no older epoch. Tests ask it what arrived and in which order, and let it fail.
 */
export class LedgerSink implements Sink<readonly LogRow[]>, SinkPositions {
  readonly name: string
  /** Batches by lane, in the order of taking; the last one is the position. */
  readonly #lanes = new Map<number, Taken[]>()
  /** Of lanes whose position was taken away. */
  readonly #earlier: LogRow[] = []
  /** What each delivery goes through before it is taken; an answer replaces the taking, 'lost' the answer alone. */
  intercept: (
    batch: Batch<readonly LogRow[]>,
  ) => Promise<Delivery | 'lost' | undefined> | Delivery | 'lost' | undefined = () => undefined
  /** Rows of which nothing can be made. */
  isBroken: (row: LogRow) => boolean = () => false
  /** How often a batch came that was there. */
  repeats = 0
  /** How often an older epoch was refused. */
  refusals = 0

  constructor(name = 'ledger') {
    this.name = name
  }

  /** Everything that arrived, lane by lane. */
  get rows(): LogRow[] {
    return [...this.#earlier, ...[...this.#lanes.values()].flatMap((batches) => batches.flatMap(({ rows }) => rows))]
  }

  batchesOf(lane: number): readonly Taken[] {
    return this.#lanes.get(lane) ?? []
  }

  get ids(): string[] {
    return this.rows.map(({ id }) => id)
  }

  prepare(rows: readonly LogRow[]): Prepared<readonly LogRow[]> {
    const refused: Refusal[] = rows
      .filter((row) => this.isBroken(row))
      .map(({ seq }) => ({ seq, reason: 'unreadable', error: 'The test says so' }))
    return { rows, refused, content: rows }
  }

  async deliver(batch: Batch<readonly LogRow[]>): Promise<Delivery> {
    const instead = await this.intercept(batch)
    if (instead !== undefined && instead !== 'lost') return instead
    const answer = this.#take(batch)
    return instead === 'lost' ? { status: 'unavailable', reason: 'The answer was lost' } : answer
  }

  async positions() {
    return new Map(
      [...this.#lanes].flatMap(([lane, batches]) => {
        const last = batches.at(-1)
        return last ? [[lane, last] as const] : []
      }),
    )
  }

  async setPosition({
    logId,
    lane,
    n,
    epoch,
    digest,
  }: {
    logId: string
    lane: number
    n: number
    epoch: number
    digest: string
  }): Promise<void> {
    const known = this.#lanes.get(lane) ?? []
    // What arrived has arrived, whatever its number is now.
    const rows = known.filter((taken) => taken.n >= n).flatMap((taken) => taken.rows)
    this.#lanes.set(lane, [...known.filter((taken) => taken.n < n), { logId, n, epoch, digest, rows }])
  }

  async setPositions(positions: ReadonlyMap<number, SinkPosition | undefined>): Promise<void> {
    for (const [lane, position] of positions) {
      if (position) await this.setPosition({ ...position, lane })
      else {
        this.#earlier.push(...(this.#lanes.get(lane) ?? []).flatMap(({ rows }) => rows))
        this.#lanes.delete(lane)
      }
    }
  }

  /** Forgets the last batches of a lane, or all of it; returns how many rows were in them. */
  forget(lane: number, batches = Infinity): number {
    const known = this.#lanes.get(lane) ?? []
    const kept = known.slice(0, Math.max(0, known.length - batches))
    this.#lanes.set(lane, kept)
    return known.slice(kept.length).reduce((sum, { rows }) => sum + rows.length, 0)
  }

  #take({ lane, n, epoch, logId, digest, content }: Batch<readonly LogRow[]>): Delivery {
    const batches = this.#lanes.get(lane) ?? []
    const last = batches.at(-1)
    if (last && last.logId !== logId) return { status: 'foreign', n: last.n }
    if (last && epoch < last.epoch) {
      this.refusals++
      return { status: 'stale', n: last.n }
    }
    const lastN = last?.n ?? 0
    if (last && n === lastN && digest === last.digest) {
      this.repeats++
      last.epoch = epoch
      return { status: 'taken' }
    }
    if (n <= lastN) return { status: 'ahead', n: lastN }
    if (n > lastN + 1) return { status: 'forgot', n: lastN }
    this.#lanes.set(lane, [...batches, { logId, n, epoch, digest, rows: content }])
    return { status: 'taken' }
  }
}
