import type { NewBatch, ParkedKey, StoredLane } from './relay-store.ts'
import type { Batch } from './sinks/sink.ts'
import { BEFORE_EVERYTHING, isNothingNew, type Tick } from './snapshot.ts'
import type { Window } from './window.ts'

/** Why a lane does not go on, until somebody has done something about it. */
export interface Standstill {
  /**
   * behind: the sink has more than PostgreSQL knows of. foreign: another log feeds it. forgot: the sink forgot more than may be sent
   * again without asking.
   */
  readonly reason: 'behind' | 'foreign' | 'forgot'
  /** The sink's number, and ours. */
  readonly found: number
  readonly expected: number
}

/** Where one lane of a sink stands, as its owner knows it. */
export class Lane {
  readonly number: number
  epoch: number
  /** Of the last batch that was intended. */
  n = 0
  digest = ''
  /** The tick that the lane's next window begins with, or that the present one began with. */
  from: Tick = BEFORE_EVERYTHING
  /** Nothing of this lane lies between `from` and this one, which is not written down. */
  seen: Tick = BEFORE_EVERYTHING
  /** Where the present window ends; undefined: it is used up. */
  to: Tick | undefined
  /** What of the present window was sent: rows up to this seq. */
  afterSeq = 0
  /** Intended, and not known to have been taken. */
  pending: Batch | 'unread' | undefined
  /** Taken since this instant (monotonic ms), which is not written down yet. */
  takenAtMs: number | undefined
  standstill: Standstill | undefined
  readonly parkedKeys = new Map<string, ParkedKey>()

  constructor(number: number, epoch: number) {
    this.number = number
    this.epoch = epoch
  }

  /** Begins with what is written down. The last batch must be sent again, unless it is known to have been taken. */
  static restore({ lane: number, epoch, last }: StoredLane): Lane {
    const lane = new Lane(number, epoch)
    if (!last) return lane
    lane.n = last.n
    lane.digest = last.digest
    lane.#standAfter(last.from ?? BEFORE_EVERYTHING, last.to ?? BEFORE_EVERYTHING, last.uptoSeq, last.endsWindow)
    if (!last.isAcked) lane.pending = 'unread'
    return lane
  }

  get isFree(): boolean {
    return this.pending === undefined && this.standstill === undefined
  }

  /** The window to read next, or undefined when nothing can have become visible since the last look. */
  nextWindow(now: Tick & { readonly drawn: number }): Window | undefined {
    if (this.to) return { lane: this.number, from: this.from, to: this.to, afterSeq: this.afterSeq }
    if (isNothingNew(this.seen, now.snapshot, now.drawn)) return undefined
    return { lane: this.number, from: this.seen, to: now, afterSeq: 0 }
  }

  /** A window was read to its end, and nothing of it was left to send. */
  skip(window: Window): void {
    if (this.to) this.#standAfter(this.from, this.to, window.to.high, true)
    else this.seen = window.to
  }

  /** The intent of a batch was written down; `to`: the tick that its window ends with, which has an id now. */
  intended(batch: NewBatch, to: Tick | undefined): void {
    this.n = batch.n
    this.digest = batch.digest
    this.takenAtMs = undefined
    if (to) this.#standAfter(this.from, to, batch.uptoSeq, batch.endsWindow)
  }

  #standAfter(from: Tick, to: Tick, uptoSeq: number, endsWindow: boolean): void {
    this.from = endsWindow ? to : from
    this.seen = this.from
    this.to = endsWindow ? undefined : to
    this.afterSeq = endsWindow ? 0 : uptoSeq
  }
}
