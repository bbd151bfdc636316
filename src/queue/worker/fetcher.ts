import type { Clock } from '../../clock.ts'
import type { JobHandler } from '../../job/job.ts'
import { type Attempt, newAttempt } from './attempt.ts'
import { judgeOptions } from '../entry.ts'
import type { Executor } from './executor.ts'
import type { AloneTurn } from './alone-turn.ts'
import { type StreamLetter, streamKey } from '../keys.ts'
import type { Lane } from './lane.ts'
import type { LeaseTable } from './lease-table.ts'
import { renewLeases } from './leases.ts'
import type { Outcome } from './outcome.ts'
import type { StallGuard } from './stall-guard.ts'
import type { StreamRegistry } from './stream-registry.ts'
import { readCommand, type WorkerSession } from './worker-session.ts'

/** So many entries of ENTRY_LIMIT_BYTES (entry.ts) are 8 MiB. */
const READ_MOST = 256
/** Slots of the lease table that must be free for each lane before a round of reads. */
export const ROUND_MOST = READ_MOST * 2
const BUFFER_BYTES = 8 * 1024 * 1024
/** How many of the front are read beside the main stream when the front was empty last time. */
const FRONT_PROBE = 16
const LONGEST_BLOCK_MS = 5_000
/** CLIENT UNBLOCK may overtake the read that it is meant for: it is repeated. */
const UNBLOCK_AGAIN_MS = 10

type Entry = readonly [id: string, fields: readonly string[] | null]
type Reply = readonly (readonly [key: string, entries: readonly Entry[]])[] | null

export interface FetcherDeps {
  readonly lanes: readonly Lane[]
  readonly executor: Executor
  readonly table: LeaseTable
  readonly streams: StreamRegistry
  readonly guard: StallGuard
  readonly turn: AloneTurn
  readonly clock: Clock
  readonly leaseMs: number
  readonly workerId: string
  readonly handlers: ReadonlyMap<string, JobHandler>
  readonly settle: (attempt: Attempt, outcome: Outcome, endedAtMs: number) => void
}

interface Source {
  readonly lane: Lane
  readonly letter: StreamLetter
}

/**
 * Fetches jobs. With nothing to do it blocks on all streams for one job (so that idle workers share); while there is work it never
 * blocks, and reads what the next few ms need. Suspects and side streams are read only into free slots, jobs that must run alone only
 * by an idle worker that has its turn.
 */
export class Fetcher {
  readonly #deps: FetcherDeps
  #lastFetchAtMs = 0
  #isBusy = false
  #quickReads = 0
  readonly #blockMs: number
  #wake: (() => void) | undefined
  #blockedOn: ReadonlySet<Lane> | undefined
  #mustReplan = false

  constructor(deps: FetcherDeps) {
    this.#deps = deps
    // Shorter than the age from which a reply is confirmed: an idle worker's wake-up costs no round trip.
    this.#blockMs = Math.max(1, Math.floor(Math.min(LONGEST_BLOCK_MS, deps.leaseMs / 4)))
  }

  /** Monotonic ms of the last answered read; 0 = none yet. */
  get lastFetchAtMs(): number {
    return this.#lastFetchAtMs
  }

  /** More jobs of this lane wait, and come with the next reply if it has room for them. */
  expects(lane: Lane): boolean {
    return this.#isBusy && !this.#deps.turn.isGranted && this.#hasSlots && (lane.isFrontFull || lane.isMainFull)
  }

  /** Whether a job could run alone here soon. */
  get wantsAlone(): boolean {
    const { executor, turn, clock } = this.#deps
    const oldestStartMs = Math.min(...executor.entries.map(({ startedAtMs }) => startedAtMs))
    return executor.isAlone || turn.wants(clock.monotonicMs(), this.#isIdle, oldestStartMs)
  }

  /** The server granted the turn to run a job alone. */
  grantTurn(): void {
    // It may have been given up while the answer was under way.
    if (this.#deps.executor.isAlone || this.#deps.turn.isGranted || !this.wantsAlone) return
    this.#deps.turn.grant()
    this.replan()
  }

  /** Something has changed: there is room in a lane, or all is done. */
  poke(lane: Lane): void {
    if (this.#wake) {
      if (this.#plan().length > 0 || (this.#deps.turn.isGranted && this.#isIdle)) this.#wake()
    } else if (this.#blockedOn && !this.#blockedOn.has(lane) && lane.freeSlots > 0) this.#mustReplan = true
  }

  /** What is to be read has changed: a read that blocks is ended. */
  replan(): void {
    this.#mustReplan = true
    this.#wake?.()
  }

  /** Reads until the session breaks or the signal aborts. */
  async run(session: WorkerSession, signal: AbortSignal): Promise<void> {
    this.#isBusy = false
    const replan = () => this.replan()
    signal.addEventListener('abort', replan, { once: true })
    void session.closed.then(() => this.#wake?.())
    try {
      while (!signal.aborted && session.read.isOpen) {
        if (this.#deps.executor.isAlone) await this.#room()
        else if (this.#deps.turn.isGranted) await this.#fetchAlone(session)
        else {
          const plan = this.#plan()
          if (plan.length === 0) await this.#room()
          else if (this.#isBusy) await this.#readNow(session, plan)
          else await this.#block(session, plan, signal)
        }
      }
    } finally {
      signal.removeEventListener('abort', replan)
      this.#isBusy = false
      this.#deps.executor.resume() // nobody is waited for any more
    }
  }

  /** Lanes that are read now. */
  #plan(): Lane[] {
    const { executor, turn } = this.#deps
    return executor.isAlone || turn.isGranted ? [] : this.#wanting()
  }

  /** Lanes that want something now. */
  #wanting(): Lane[] {
    const { lanes, clock } = this.#deps
    if (!this.#hasSlots) return []
    const now = clock.monotonicMs()
    return lanes.filter((lane) => lane.bufferedBytes < BUFFER_BYTES && lane.wanted(now) > 0)
  }

  get #hasSlots(): boolean {
    const { lanes, table } = this.#deps
    return table.freeSlots >= ROUND_MOST * lanes.length
  }

  get #isIdle(): boolean {
    const { executor } = this.#deps
    return executor.running === 0 && executor.buffered === 0
  }

  async #room(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve
      // Room may come without a poke: speed is measured over time.
      setTimeout(resolve, 20).unref()
    })
    this.#wake = undefined
    if (!this.#hasSlots) this.#deps.executor.resume()
  }

  /** Reads what is there, without waiting. */
  async #readNow(session: WorkerSession, plan: readonly Lane[]): Promise<void> {
    const { clock } = this.#deps
    const now = clock.monotonicMs()
    const reads: Promise<number>[] = []
    for (const lane of plan) {
      const want = Math.min(READ_MOST, lane.wanted(now))
      if (want === 0) continue
      const free = lane.freeSlots
      if (free > 0 && lane.suspects > 0) reads.push(this.#read(session, [{ lane, letter: 's' }], 1))
      // Three of the front to one of the main stream while both have some: neither starves.
      const ofFront = lane.isFrontFull ? Math.ceil((want * 3) / 4) : Math.min(want, FRONT_PROBE)
      const ofMain = lane.isFrontFull ? Math.ceil(want / 4) : want
      reads.push(this.#read(session, [{ lane, letter: 'f' }], ofFront))
      reads.push(this.#read(session, [{ lane, letter: 'm' }], ofMain))
      if (free > 0 && lane.sides.length > 0) reads.push(this.#read(session, sideSources(lane), 1))
    }
    const counts = await Promise.all(reads)
    if (counts.every((count) => count === 0)) this.#isBusy = false
  }

  /** Waits for one job on every stream that has room. */
  async #block(session: WorkerSession, plan: readonly Lane[], signal: AbortSignal): Promise<void> {
    const sources = plan.flatMap((lane): Source[] => {
      const main: Source[] = [
        { lane, letter: 'f' },
        { lane, letter: 'm' },
      ]
      return lane.freeSlots > 0 ? [{ lane, letter: 's' }, ...main, ...sideSources(lane)] : main
    })
    this.#blockedOn = new Set(plan)
    this.#mustReplan = false
    const unblock = setInterval(() => {
      if (this.#mustReplan || signal.aborted) {
        void session.work.connection.send(['CLIENT', 'UNBLOCK', String(session.read.clientId)]).catch(() => 0)
      }
    }, UNBLOCK_AGAIN_MS)
    const from = idleMs()
    try {
      const found = await this.#read(session, sources, 1, { blockMs: this.#blockMs, isOnlyRead: true })
      // Twice at once: a backlog, or a stream of jobs that comes faster than one at a time can be fetched.
      const isQuick = found > 0 && idleMs() - from < Math.max(0.5, session.rttMs * 2)
      this.#quickReads = isQuick ? this.#quickReads + 1 : 0
      if (this.#quickReads >= 2) this.#isBusy = true
    } finally {
      clearInterval(unblock)
      this.#blockedOn = undefined
    }
  }

  /** This worker has its turn to run a job alone: as soon as all that it has is done, or for others when it is not done in time. */
  async #fetchAlone(session: WorkerSession): Promise<void> {
    const { lanes, executor, turn, clock } = this.#deps
    if (!this.#isIdle) {
      if (turn.hasRun) turn.giveUp(clock.monotonicMs())
      else if (turn.drains(clock.monotonicMs())) await this.#room()
      return
    }
    if (turn.hasRun) {
      // Others first, or many jobs that must run alone would hold them up.
      await this.#readNow(session, this.#wanting())
      if (!this.#isIdle) return
      turn.goesOn()
    }
    for (const lane of lanes.filter(({ alone }) => alone > 0)) {
      const found = await this.#read(session, [{ lane, letter: 'a' }], 1, { isOnlyRead: true })
      if (executor.isAlone) return turn.began(clock.monotonicMs())
      if (found === 0) lane.alone = 0
    }
    turn.giveUp(clock.monotonicMs())
  }

  /** One read; how many entries came. `isOnlyRead`: no other read is under way that could bring jobs beside one that must run alone. */
  async #read(
    session: WorkerSession,
    sources: readonly Source[],
    count: number,
    { blockMs = 0, isOnlyRead = false } = {},
  ): Promise<number> {
    const { clock, table, streams, guard, leaseMs } = this.#deps
    const keys = sources.map(({ lane, letter }) => streamKey(session.work.prefix, lane.queue, letter))
    const sentAtMs = clock.monotonicMs()
    const epoch = table.epoch
    const reply = await session.read.send<Reply>(readCommand(session.consumer, count, blockMs, keys), blockMs)
    const now = clock.monotonicMs()
    this.#lastFetchAtMs = now
    // Before anything of it is delivered: what starts next depends on who has more.
    if (blockMs === 0) noteDepth(sources[0], count, reply?.[0]?.[1].length ?? 0)
    if (reply === null) {
      this.#deps.executor.resume() // something may have waited for it
      return 0
    }
    const fetched: Attempt[] = []
    for (const [key, entries] of reply) {
      const { lane, letter } = sources[keys.indexOf(key)] as Source
      const ref = streams.refOf(lane.queue, letter)
      for (const [entry, fields] of entries) {
        const attempt = this.#attempt(session, lane, letter, ref, entry, fields, now)
        if (attempt) fetched.push(attempt)
      }
    }
    // In this order: the entries are in the table before the epoch is read (see LeaseTable.epoch).
    const isLate = now - sentAtMs > leaseMs / 3 || guard.mustConfirm(sentAtMs, now)
    const [first] = fetched
    const isSole = isOnlyRead && fetched.length === 1 && this.#isIdle
    if (first && isSole && isDangerous(first)) await this.#runAlone(session, first)
    else if (table.epoch !== epoch || isLate) await this.confirm(session, fetched)
    else this.#deliver(fetched)
    return fetched.length
  }

  /** Asks the server which of these attempts are still ours, and hands those on; the others are dropped. Rejects when it cannot be asked. */
  async confirm(session: WorkerSession, attempts: readonly Attempt[]): Promise<void> {
    const { table, clock } = this.#deps
    const at = clock.monotonicMs()
    try {
      const lost = new Set(await this.#lostOf(session, attempts))
      for (const attempt of lost) table.release(attempt.slot)
      const confirmed = attempts.filter((attempt) => !lost.has(attempt))
      for (const attempt of confirmed) attempt.fetchedAtMs = at
      this.#deliver(confirmed)
    } catch (error) {
      // Known to nobody here from now on: the next session hands back what is pending and not in the table.
      for (const attempt of attempts) table.release(attempt.slot)
      throw error
    }
  }

  #deliver(attempts: readonly Attempt[]): void {
    const others = attempts.filter((attempt) => {
      if (!isDangerous(attempt)) return true
      // Found beside others, or in a side stream: back to where it waits for its turn.
      this.#giveUp(attempt, { r: 'released' })
      return false
    })
    this.#deps.executor.accept(others)
  }

  /** Gives the process to one job, if it still is ours. */
  async #runAlone(session: WorkerSession, attempt: Attempt): Promise<void> {
    const { table, executor } = this.#deps
    try {
      const lost = await this.#lostOf(session, [attempt])
      if (lost.length > 0) table.release(attempt.slot)
      else executor.runAlone(attempt)
    } catch (error) {
      table.release(attempt.slot)
      throw error
    }
  }

  /** Which of these are ours no longer; the others are renewed. */
  #lostOf({ work, consumer }: WorkerSession, attempts: readonly Attempt[]): Promise<Attempt[]> {
    const { streams, workerId } = this.#deps
    const holder = { workerId, consumer, queues: streams.queues }
    return renewLeases(work, holder, attempts, ({ lane, letter }) => ({ queue: lane.queue, letter }))
  }

  #attempt(
    session: WorkerSession,
    lane: Lane,
    letter: StreamLetter,
    ref: number,
    entry: string,
    fields: readonly string[] | null,
    now: number,
  ): Attempt | undefined {
    const { table, handlers } = this.#deps
    const type = fields?.[1]
    const text = fields?.[3]
    const payloadText = fields?.[5]
    // Its id and key count, if they can be read, whatever else is wrong with it.
    const { options, flaw } = judgeOptions(text ?? '')
    const attempt = newAttempt(
      {
        lane,
        letter,
        entry,
        place: options.i ?? entry,
        type: type ?? '',
        handler: type === undefined ? undefined : handlers.get(type),
        options,
        payloadText: payloadText ?? '',
        slot: table.hold(ref, entry, now),
        bootId: session.bootId,
      },
      now,
    )
    if (type === undefined || payloadText === undefined || flaw !== undefined) {
      this.#giveUp(attempt, { r: 'dead', rs: 'unreadable', er: { m: 'The entry is not one of a job of this layout' } })
      return undefined
    }
    if (!attempt.handler) {
      this.#giveUp(attempt, { r: 'aside' })
      return undefined
    }
    return attempt
  }

  /** Settles an attempt that will not run here. */
  #giveUp(attempt: Attempt, outcome: Outcome): void {
    const { table, settle, clock } = this.#deps
    attempt.isSettled = true
    if (table.start(attempt.slot, Number.POSITIVE_INFINITY)) settle(attempt, outcome, clock.monotonicMs())
    else table.release(attempt.slot)
  }
}

/**
 * How long this thread has waited for events in all. What a read took is measured by it: while handlers keep the event loop busy, a
 * reply that came at once lies in the socket.
 */
function idleMs(): number {
  return performance.eventLoopUtilization().idle
}

function noteDepth(source: Source | undefined, asked: number, found: number): void {
  if (source?.letter === 'f') source.lane.isFrontFull = found >= asked
  else if (source?.letter === 'm') source.lane.isMainFull = found >= asked
}

/** From its second rescue on a job may be what kills its workers. */
function isDangerous({ options }: Attempt): boolean {
  return (options.c ?? 0) > 0
}

function sideSources(lane: Lane): Source[] {
  return lane.sides.map((type) => ({ lane, letter: `t${type}` as const }))
}
