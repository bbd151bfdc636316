import type { Clock } from '../clock.ts'
import type { Logger } from '../logger.ts'
import { RepeatedWarning } from '../service/repeated-warning.ts'
import type { Lane, Standstill } from './lane.ts'
import type { RelaySettings } from './relay-session.ts'
import type { Redrive, RelayStore, StoredBatch } from './relay-store.ts'
import type { Batch, Delivery, Sink } from './sinks/sink.ts'

export interface CourierDeps<Content> {
  readonly store: RelayStore
  readonly sink: Sink<Content>
  readonly logId: string
  readonly settings: RelaySettings
  readonly clock: Clock
  readonly log: Logger
  /** A lane has nothing under way any more. */
  readonly onSettled: () => void
  /** Somebody else owns it. */
  readonly onLost: (lane: Lane) => void
}

const FIRST_DELAY_MS = 20
const LONGEST_DELAY_MS = 1_000
/** So many batches that are sent again are read at a time. */
const RESEND_BATCHES = 20

/** Brings a lane's batches to the sink, one after another, for as long as it takes. */
export class Courier<Content> {
  readonly #deps: CourierDeps<Content>
  readonly #outage: RepeatedWarning
  readonly #underWay = new Map<Lane, Promise<void>>()
  readonly #stop = new AbortController()
  #failure: Error | undefined
  /** Lanes whose batches are sent again however old they are: an operator wishes it. */
  #redrives: ReadonlyMap<number, Redrive> = new Map()

  constructor(deps: CourierDeps<Content>) {
    this.#deps = deps
    this.#outage = new RepeatedWarning(deps.log, deps.clock)
  }

  /** Sends what is pending. Returns at once. */
  begin(lane: Lane): void {
    if (this.#underWay.has(lane)) return
    const work = this.#bring(lane)
      .catch((error: unknown) => {
        this.#failure ??= error instanceof Error ? error : new Error(String(error))
      })
      .finally(() => {
        this.#underWay.delete(lane)
        this.#deps.onSettled()
      })
    this.#underWay.set(lane, work)
  }

  /** Throws what no answer of a sink explains, e.g. that PostgreSQL went away: another session begins with what is written down. */
  requireSound(): void {
    if (this.#failure) throw this.#failure
  }

  /** Waits until nothing is under way, at most so long. */
  async settle(limitMs: number): Promise<void> {
    const passed = new AbortController()
    await Promise.race([Promise.all(this.#underWay.values()), this.#deps.clock.wait(limitMs, passed.signal)])
    passed.abort()
  }

  /** What is under way ends at the next step; it is sent again by whoever owns the lane then. */
  stop(): void {
    this.#stop.abort()
  }

  /**
   * Compares what the sink has with what it took. A lane that is idle would notice a loss only with its next event, and one that stands
   * still would not notice that it may go on.
   */
  async comparePositions(lanes: readonly Lane[], redrives: ReadonlyMap<number, Redrive>): Promise<void> {
    const { sink, logId } = this.#deps
    this.#redrives = redrives
    const before = new Map(lanes.filter(({ pending }) => pending === undefined).map((lane) => [lane, lane.n]))
    if (before.size === 0) return
    const found = await sink.positions().catch(() => undefined)
    if (!found) return // an outage: whoever sends something will say so
    for (const [lane, n] of before) {
      if (lane.pending !== undefined || lane.n !== n) continue
      const position = found.get(lane.number)
      const isSame = position?.logId === logId && position.n === n && position.digest === lane.digest
      if (isSame || (!position && n === 0)) await this.#allIsThere(lane)
      // Sending the last batch again says what is the matter.
      else if (n > 0 && (!lane.standstill || redrives.has(lane.number) || this.#hasChanged(lane, position?.n))) {
        lane.pending = 'unread'
        this.begin(lane)
      } else if (n === 0 && position) {
        this.#halt(lane, { reason: position.logId === logId ? 'behind' : 'foreign', found: position.n, expected: 0 })
      }
    }
  }

  async #bring(lane: Lane): Promise<void> {
    const { sink, clock } = this.#deps
    let delayMs = FIRST_DELAY_MS
    while (lane.pending && !this.#stop.signal.aborted) {
      const batch: Batch<Content> =
        lane.pending === 'unread' ? await this.#readLast(lane) : (lane.pending as Batch<Content>)
      lane.pending = batch
      const delivery = await sink.deliver(batch)
      if (delivery.status === 'unavailable') {
        this.#outage.failed(delivery.reason, 'The sink is not available; trying again', { sink: sink.name })
        await clock.wait(delayMs * (0.5 + Math.random() / 2), this.#stop.signal)
        delayMs = Math.min(delayMs * 2, LONGEST_DELAY_MS)
        continue
      }
      this.#outage.works('The sink is available again')
      if (!(await this.#settleOne(lane, batch, delivery))) return
    }
  }

  /** What follows from an answer. Returns whether the batch is to be sent once more. */
  async #settleOne(
    lane: Lane,
    batch: Batch<Content>,
    delivery: Exclude<Delivery, { status: 'unavailable' }>,
  ): Promise<boolean> {
    switch (delivery.status) {
      case 'taken':
        lane.pending = undefined
        lane.takenAtMs = this.#deps.clock.monotonicMs()
        await this.#allIsThere(lane)
        return false
      case 'forgot':
        return this.#sendAgain(lane, delivery.n)
      case 'stale':
      case 'ahead':
        return this.#isStillAhead(lane, delivery.n)
      default:
        this.#halt(lane, { reason: 'foreign', found: delivery.n, expected: batch.n })
        return false
    }
  }

  /** Sends what the sink forgot, from the batch after `foundN` on (or where an operator wishes), up to the one before the last. Returns whether the last may follow. */
  async #sendAgain(lane: Lane, foundN: number): Promise<boolean> {
    const { store, sink, logId, log } = this.#deps
    let next = foundN + 1
    let rows = 0
    const wish = this.#redrives.get(lane.number)
    if (wish !== undefined && next < wish.fromN) {
      // The operator does not want what is older. That may be all of it: then the last batch counts as taken.
      next = Math.min(wish.fromN, lane.n + 1)
      const digest = next > lane.n ? lane.digest : ''
      await sink.setPosition({ logId, lane: lane.number, n: next - 1, epoch: lane.epoch, digest })
    }
    const first = next
    if (first < lane.n)
      log.warn(
        { lane: lane.number, from: first, upto: lane.n },
        'The sink forgot batches that it had taken; sending them again',
      )
    while (next < lane.n) {
      const batches = await store.loadBatches(lane.number, next, Math.min(RESEND_BATCHES, lane.n - next))
      for (const stored of batches) {
        if (this.#stop.signal.aborted) return false
        if (stored.n !== next || !(await this.#maySendAgain(lane, stored))) {
          this.#halt(lane, { reason: 'forgot', found: foundN, expected: lane.n })
          return false
        }
        const batch = await this.#prepare(lane, stored)
        const delivery = await sink.deliver(batch)
        // Anything else is found out anew with the last batch.
        if (delivery.status !== 'taken') return true
        rows += batch.rows
        next++
      }
      if (batches.length === 0) {
        this.#halt(lane, { reason: 'forgot', found: foundN, expected: lane.n })
        return false
      }
    }
    if (rows > 0) {
      await store.noteResent(lane.number, first, lane.n - 1, rows)
      log.warn({ lane: lane.number, rows, batches: lane.n - first }, 'Sent again what the sink had forgotten')
    }
    return true
  }

  async #maySendAgain(lane: Lane, { n, at }: StoredBatch): Promise<boolean> {
    const wish = this.#redrives.get(lane.number)
    if (wish !== undefined) return n >= wish.fromN
    const { store, settings } = this.#deps
    return (await store.now()).getTime() - at.getTime() <= settings.redriveMaxMs
  }

  /**
   * PostgreSQL may know by now what the sink knew before us: another owner, who has an epoch there before it sends anything, or its intent.
   * Where it does not, it was put back, also when the sink has seen an epoch that PostgreSQL forgot to have given.
   */
  async #isStillAhead(lane: Lane, foundN: number): Promise<boolean> {
    const [stored] = await this.#deps.store.loadLanes([lane.number])
    if (stored && (stored.epoch !== lane.epoch || (stored.last?.n ?? 0) > lane.n)) {
      lane.pending = undefined
      this.#deps.onLost(lane) // it is taken up anew, with what is written down
      return false
    }
    this.#halt(lane, { reason: 'behind', found: foundN, expected: lane.n })
    return false
  }

  async #readLast(lane: Lane): Promise<Batch<Content>> {
    const [stored] = await this.#deps.store.loadBatches(lane.number, lane.n, 1)
    if (!stored) throw new Error(`Batch ${lane.n} of lane ${lane.number} is not written down`)
    return this.#prepare(lane, stored)
  }

  /** Reads a batch again and makes of it what was made of it before. */
  async #prepare(lane: Lane, stored: StoredBatch): Promise<Batch<Content>> {
    const { store, sink, logId, log } = this.#deps
    const rows = await store.readBatch(stored)
    const { content } = await sink.prepare(rows, {
      version: stored.subscriptions,
      n: stored.n,
      only: registrationOf(stored.catchUp),
      isIntended: true,
    })
    if (rows.length !== stored.rows) {
      // What is left is sent, under the batch's own number: to stop would lose more. `moca verify` names the batch for as long as it is kept.
      log.error(
        { lane: lane.number, batch: stored.n, expected: stored.rows, found: rows.length },
        'Rows of the log are missing',
      )
    }
    const { n, rows: count, digest } = stored
    return { lane: lane.number, n, epoch: lane.epoch, logId, rows: count, digest, content }
  }

  #halt(lane: Lane, standstill: Standstill): void {
    const isNews = lane.standstill?.reason !== standstill.reason || lane.standstill.found !== standstill.found
    lane.standstill = standstill
    lane.pending = undefined
    if (!isNews) return
    this.#deps.log.error({ lane: lane.number, ...standstill }, EXPLANATIONS[standstill.reason])
    this.#noteStandstill(lane)
  }

  /** The sink has everything that the lane brought to it: nothing is left of a standstill, nor of a wish to send again. */
  async #allIsThere(lane: Lane): Promise<void> {
    this.#goOn(lane)
    const wish = this.#redrives.get(lane.number)
    if (wish) await this.#deps.store.endRedrives(lane.number, wish)
  }

  /** For operators. Nothing depends on it, so nobody waits for it; where it fails the session ends with its connection. */
  #noteStandstill({ number, epoch, standstill }: Lane): void {
    void this.#deps.store.noteStandstill({ number, epoch, standstill }).catch(() => {})
  }

  #hasChanged(lane: Lane, foundN = 0): boolean {
    return lane.standstill?.found !== foundN
  }

  #goOn(lane: Lane): void {
    if (!lane.standstill) return
    lane.standstill = undefined
    this.#deps.log.info({ lane: lane.number }, 'The lane goes on')
    this.#noteStandstill(lane)
  }
}

const EXPLANATIONS: Record<Standstill['reason'], string> = {
  behind:
    'The sink has batches that PostgreSQL does not know: was PostgreSQL put back to an older state? The lane waits for moca outbox rebase',
  foreign:
    'The sink is fed by another log: is another database configured for this namespace? The lane waits for moca outbox rebase',
  forgot: 'The sink forgot more than is sent again without asking. The lane waits for moca outbox redrive --since',
}

/** `<name>@<since>`, as a batch notes it. */
function registrationOf(id: string | undefined): { readonly name: string; readonly since: number } | undefined {
  if (id === undefined) return undefined
  const at = id.lastIndexOf('@')
  return { name: id.slice(0, at), since: Number(id.slice(at + 1)) }
}
