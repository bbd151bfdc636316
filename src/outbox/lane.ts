import type { NewBatch, ParkedKey, Standing, StoredCatchUp, StoredLane } from './relay-store.ts'
import type { Batch } from './sinks/sink.ts'
import { BEFORE_EVERYTHING, isAtOrBefore, isNothingNew, type Tick } from './snapshot.ts'
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

/** A place in the log: at the beginning of a window, or within one. */
class Place {
  /** The tick that the next window begins with, or that the present one began with. */
  from: Tick
  /** Where the present window ends; undefined: it is used up. */
  to: Tick | undefined
  /** What of the present window was sent: rows up to this seq. */
  afterSeq = 0

  constructor(from: Tick) {
    this.from = from
  }

  standAfter({ from, to, uptoSeq, endsWindow }: Standing): void {
    this.from = endsWindow ? to : from
    this.to = endsWindow ? undefined : to
    this.afterSeq = endsWindow ? 0 : uptoSeq
  }
}

/** A subscription that begins in the past, on its way to where its lane stands. */
export class CatchUp {
  readonly name: string
  readonly since: number
  readonly place: Place

  constructor({ name, since, past, standing }: StoredCatchUp) {
    this.name = name
    this.since = since
    this.place = new Place(past)
    if (standing) this.place.standAfter(standing)
  }

  get id(): string {
    return `${this.name}@${this.since}`
  }

  /** Its next window on the way to a tick, undefined when it has come there. */
  nextWindow(lane: number, target: Tick): Window | undefined {
    const { from, to, afterSeq } = this.place
    if (to) return { lane, from, to, afterSeq }
    return isAtOrBefore(target, from) ? undefined : { lane, from, to: target, afterSeq: 0 }
  }

  /** A window was read to its end, and held nothing. */
  skip({ to }: Window): void {
    this.place.standAfter({ from: this.place.from, to, uptoSeq: to.high, endsWindow: true })
  }
}

/** Where one lane of a sink stands, as its owner knows it. */
export class Lane {
  readonly number: number
  readonly epoch: number
  /** Of the last batch that was intended. */
  n = 0
  digest = ''
  readonly place = new Place(BEFORE_EVERYTHING)
  /** Nothing of this lane lies between the beginning of its next window and this tick, which is not written down. */
  seen: Tick = BEFORE_EVERYTHING
  /** Intended, and not known to have been taken. */
  pending: Batch | 'unread' | undefined
  /** Taken since this instant (monotonic ms), which is not written down yet. */
  takenAtMs: number | undefined
  standstill: Standstill | undefined
  readonly parkedKeys = new Map<string, ParkedKey>()
  /** Subscriptions that have not come to where the lane stands, oldest first. */
  catchUps: readonly CatchUp[] = []
  /** Whose turn it is, when both could go on. */
  isCatchUpsTurn = true

  constructor(number: number, epoch: number) {
    this.number = number
    this.epoch = epoch
  }

  /** Begins with what is written down. The last batch must be sent again, unless it is known to have been taken. */
  static restore({ lane: number, epoch, last, standing }: StoredLane): Lane {
    const lane = new Lane(number, epoch)
    if (!last) return lane
    lane.n = last.n
    lane.digest = last.digest
    if (standing) lane.#standAfter(standing)
    if (!last.isAcked) lane.pending = 'unread'
    return lane
  }

  get isFree(): boolean {
    return this.pending === undefined && this.standstill === undefined
  }

  /** Whether there is nothing to do until something new becomes visible. */
  get isIdle(): boolean {
    const hasWish = [...this.parkedKeys.values()].some(({ wish }) => wish !== undefined)
    return this.isFree && this.takenAtMs === undefined && !this.place.to && this.catchUps.length === 0 && !hasWish
  }

  /** The window to read next, or undefined when nothing can have become visible since the last look. */
  nextWindow(now: Tick & { readonly drawn: number }): Window | undefined {
    const { from, to, afterSeq } = this.place
    if (to) return { lane: this.number, from, to, afterSeq }
    if (isNothingNew(this.seen, now.snapshot, now.drawn)) return undefined
    return { lane: this.number, from: this.seen, to: now, afterSeq: 0 }
  }

  /** A window was read to its end, and nothing of it was left to send. */
  skip(window: Window): void {
    const { from, to } = this.place
    if (to) this.#standAfter({ from, to, uptoSeq: to.high, endsWindow: true })
    else this.seen = window.to
  }

  /** The intent of a batch was written down; `to`: the tick that its window ends with, which has an id now. */
  intended({ n, digest, uptoSeq, endsWindow }: NewBatch, to: Tick | undefined, catchUp?: CatchUp): void {
    this.n = n
    this.digest = digest
    this.takenAtMs = undefined
    if (!to) return
    if (catchUp) catchUp.place.standAfter({ from: catchUp.place.from, to, uptoSeq, endsWindow })
    else this.#standAfter({ from: this.place.from, to, uptoSeq, endsWindow })
  }

  #standAfter(standing: Standing): void {
    this.place.standAfter(standing)
    this.seen = this.place.from
  }
}
