import { type Clock, systemClock } from '../clock.ts'
import type { ChangedDocument, DocumentChanges } from './document-changes.ts'
import type { IndexBatch, IndexPlace, IndexPosition } from './index-position.ts'
import type { RelayStore } from './relay-store.ts'
import { type Anchor, isNothingNew, type Tick } from './snapshot.ts'

export interface IndexFollowerDeps {
  /** On the same connection as the others: what is remembered of the log ends with it. */
  readonly log: Pick<RelayStore, 'deployment' | 'anchor' | 'look'>
  readonly changes: DocumentChanges
  readonly position: IndexPosition
  /** Of the documents of the index, and of those that they embed. */
  readonly doctypes: readonly string[]
  readonly clock?: Clock
}

/** The next documents of an index. Their rows are to be read after this, and before it is intended. */
export interface FollowedBatch extends Omit<IndexBatch, 'documents'> {
  readonly documents: readonly ChangedDocument[]
  /** The window was opened for it: what is committed by now is in it, or in those after it up to one that ends the window. */
  readonly beginsWindow: boolean
}

/** So many rows of a lane are looked at at once. */
const MOST_PER_LANE = 500
/** A position without anything to submit is written down so seldom: it lets old partitions of the log go. */
const NOTE_AFTER_MS = 60_000

/**
 * Follows the log for one index, as its only writer. For each batch: `next`, read the rows of its documents, `intend`, submit, wait until
 * the engine has them, `settle`. Several batches may be under way. After an error, or when it is told that the index is another owner's,
 * it is done with: another one takes the index and begins with what is settled.
 */
export class IndexFollower {
  readonly #deps: IndexFollowerDeps
  readonly #epoch: number
  readonly #clock: Clock
  #n: number
  #place: IndexPlace
  /** Nothing for the index lies between where the next window begins and this tick, which is not written down. */
  #seen: Tick
  #anchor: Anchor
  #life: string | undefined
  #notedAtMs: number

  /** Takes the index. Undefined: somebody alive owns it, or it has not begun. */
  static async take(deps: IndexFollowerDeps): Promise<IndexFollower | undefined> {
    const deployment = await deps.log.deployment()
    const taken = await deps.position.take(deployment?.floors ?? [])
    if (!taken) return undefined
    return new IndexFollower(deps, taken, await deps.log.anchor())
  }

  private constructor(
    deps: IndexFollowerDeps,
    { epoch, n, place }: { readonly epoch: number; readonly n: number; readonly place: IndexPlace },
    anchor: Anchor,
  ) {
    this.#deps = deps
    this.#clock = deps.clock ?? systemClock
    this.#epoch = epoch
    this.#n = n
    this.#place = place
    this.#seen = place.from
    this.#anchor = anchor
    this.#notedAtMs = this.#clock.monotonicMs()
  }

  /** Of this owner: it grows each time that somebody takes the index. */
  get epoch(): number {
    return this.#epoch
  }

  /** Undefined: nothing is new. Without documents: there is only a position to write down. */
  async next(): Promise<FollowedBatch | undefined> {
    const { from, to: presentEnd, afterSeq } = this.#place
    const to = presentEnd ?? (await this.#look())
    if (!to) return undefined
    const begin = presentEnd ? from : this.#seen
    const reading = await this.#deps.changes.read(this.#deps.doctypes, { from: begin, to, afterSeq }, MOST_PER_LANE)
    const { documents, uptoSeq, isLast } = reading
    const isNoteDue = this.#clock.monotonicMs() - this.#notedAtMs >= NOTE_AFTER_MS
    if (!presentEnd && isLast && documents.length === 0 && !isNoteDue) {
      this.#seen = to
      return undefined
    }
    return {
      n: this.#n + 1,
      epoch: this.#epoch,
      from,
      to,
      afterSeq,
      uptoSeq,
      beginsWindow: !presentEnd,
      endsWindow: isLast,
      documents,
    }
  }

  /** Writes down that a batch is about to be submitted. False: the index is another owner's, and it must not be. */
  async intend(batch: FollowedBatch): Promise<boolean> {
    const intended = await this.#deps.position.intend({ ...batch, documents: batch.documents.length })
    if (!intended) return false
    const { to, anchor } = intended
    this.#anchor = anchor
    this.#n = batch.n
    this.#place = batch.endsWindow
      ? { from: to, to: undefined, afterSeq: 0 }
      : { from: batch.from, to, afterSeq: batch.uptoSeq }
    this.#seen = this.#place.from
    this.#notedAtMs = this.#clock.monotonicMs()
    return true
  }

  /** All documents of a batch are in the index. False: the index is another owner's, which brings them again. */
  async settle(batch: FollowedBatch): Promise<boolean> {
    return this.#deps.position.settle(batch)
  }

  /** False: the index is another owner's. */
  async renew(): Promise<boolean> {
    return this.#deps.position.renew(this.#epoch)
  }

  /** Lets others take it. What is not settled comes again. */
  async leave(): Promise<void> {
    await this.#deps.position.leave(this.#epoch)
  }

  /** Where the log stands, if anything can be new. */
  async #look(): Promise<Tick | undefined> {
    const look = await this.#deps.log.look(this.#anchor)
    if (this.#life !== undefined && this.#life !== look.life) {
      throw new Error('PostgreSQL crashed or was replaced: what is not written down means nothing any more')
    }
    this.#life = look.life
    if (isNothingNew(this.#seen, look.snapshot, look.drawn)) return undefined
    return { id: undefined, snapshot: look.snapshot, low: look.low, high: look.high, floor: look.floor }
  }
}
