import { randomBytes } from 'node:crypto'
import { EventEmitter } from 'node:events'
import { hostname } from 'node:os'
import type { MocaConfig } from '../../config/config.ts'
import { type Clock, systemClock } from '../../clock.ts'
import { ClosedError, MocaError } from '../../errors.ts'
import type { JobHandler } from '../../job/job.ts'
import { formatJobId } from '../../job/job-id.ts'
import type { Logger } from '../../logger.ts'
import { Link } from '../../redis/link.ts'
import { AloneTurn } from './alone-turn.ts'
import { type Attempt, attemptNumber } from './attempt.ts'
import { Executor } from './executor.ts'
import { Fetcher, ROUND_MOST } from './fetcher.ts'
import { Heartbeat } from './heartbeat.ts'
import { Keeper } from './keeper.ts'
import { largePayloadKey, type StreamLetter } from '../keys.ts'
import type { Lane } from './lane.ts'
import { makeLanes } from './lanes.ts'
import { LeaseTable } from './lease-table.ts'
import { renewLeases } from './leases.ts'
import type { LossDetector } from '../loss-detector.ts'
import { mustReopen, type NamespaceConnection } from '../namespace.ts'
import type { Outcome } from './outcome.ts'
import { Rescuer } from './rescuer.ts'
import { Settler } from './settler.ts'
import { reportStale } from './stale-report.ts'
import { StallGuard } from './stall-guard.ts'
import { StreamRegistry } from './stream-registry.ts'
import { openSession, type WorkerSession } from './worker-session.ts'

/** Room in the lease table beside what runs: fetched ahead, and finished but not yet settled. */
const TABLE_EXTRA = 8_192
/** How long a stop waits for a read under way. */
const FETCH_END_MS = 500
/** How long a stop waits for the server to forget this worker. */
const SIGN_OFF_MS = 1_000

export interface WorkerDeps {
  readonly config: MocaConfig
  readonly handlers: readonly JobHandler[]
  /** The queues to serve. Default: those of the handlers' jobs. */
  readonly queues: Readonly<Record<string, { readonly weight: number; readonly concurrency: number }>>
  readonly losses: LossDetector
  readonly log: Logger
  readonly clock?: Clock
}

export interface JobEvent {
  readonly id: string
  readonly type: string
  readonly queue: string
  readonly attempt: number
}

/** Local to this process, for tests and metrics: what other processes do is not told here. */
export interface WorkerEvents {
  /**
   * Its outcome is confirmed by the server. One whose answer was lost with the connection is sent again; when the server then knows no
   * job of it any more, it counts as confirmed. Where that cannot be told (it was to come again, or another worker has it), neither
   * this nor `stale` is told.
   */
  settled: [
    event: JobEvent & {
      readonly outcome: 'completed' | 'delayed' | 'dead' | 'released' | 'aside' | 'cancelled' | 'expired'
      readonly durationMs: number
    },
  ]
  /** Its result was refused: the job had been taken over. */
  stale: [event: JobEvent]
  /** Attempts fetched and not started were handed back. */
  returned: [count: number]
}

export interface WorkerHealth {
  readonly isConnected: boolean
  /** Ages in ms; undefined = has not happened yet. */
  readonly lastFetchAgeMs: number | undefined
  readonly lastRenewalAgeMs: number | undefined
  readonly running: number
  readonly buffered: number
  readonly unsettled: number
}

/** Fetches jobs, runs their handlers and reports the outcomes. Safe to kill at any instruction. */
export class Worker extends EventEmitter<WorkerEvents> {
  /** Unique for this worker: names its consumers and its entry in the registry. */
  readonly id: string
  readonly #deps: WorkerDeps
  readonly #clock: Clock
  readonly #log: Logger
  readonly #lanes: readonly Lane[]
  readonly #table: LeaseTable
  readonly #guard: StallGuard
  readonly #streams: StreamRegistry
  readonly #executor: Executor
  readonly #settler: Settler
  readonly #fetcher: Fetcher
  readonly #rescuer: Rescuer
  readonly #keeper: Keeper
  readonly #heartbeat: Heartbeat
  readonly #link: Link<WorkerSession>
  readonly #fetching = new AbortController()
  readonly #stop = new AbortController()
  #sessions = 0
  #before: { readId: number; workId: number; bootId: string } | undefined
  #loops: Promise<void>[] = []
  #fetchEnded: Promise<void> = Promise.resolve()
  #timer: NodeJS.Timeout | undefined
  #started: Promise<void> | undefined
  #stopped: Promise<void> | undefined

  constructor(deps: WorkerDeps) {
    super()
    this.#deps = deps
    this.#clock = deps.clock ?? systemClock
    const { worker, namespace, redis, history } = deps.config
    this.id = `${hostname()
      .replaceAll(/[^\w-]/g, '_')
      .slice(0, 30)}-${process.pid}-${randomBytes(4).toString('hex')}`
    this.#log = deps.log.child({ worker: this.id })
    this.#lanes = makeLanes(deps.queues, deps.handlers)
    const queues = this.#lanes.map(({ queue }) => queue)
    this.#table = LeaseTable.create(
      this.#lanes.reduce((sum, { concurrency }) => sum + concurrency * 2 + ROUND_MOST, TABLE_EXTRA),
    )
    this.#guard = new StallGuard(worker.leaseMs / 3, () => this.#clock.monotonicMs())
    const serverNow = () => this.#heartbeat.serverNow()
    const session = () => this.#link.get()
    this.#settler = new Settler({
      lanes: this.#lanes,
      table: this.#table,
      workerId: this.id,
      clock: this.#clock,
      log: this.#log,
      session,
      serverNow,
      history,
      onSettled: (attempt, outcome) => this.#onSettled(attempt, outcome),
      onStale: (attempt) => this.#onStale(attempt),
    })
    const settle = (attempt: Attempt, outcome: Outcome, endedAtMs: number) =>
      this.#settler.settle(attempt, outcome, endedAtMs)
    this.#executor = new Executor({
      lanes: this.#lanes,
      table: this.#table,
      clock: this.#clock,
      log: this.#log,
      strict: worker.strict,
      graceMs: worker.graceMs,
      settle,
      serverNow,
      onRoom: (lane) => this.#fetcher.poke(lane),
      expects: (lane) => this.#fetcher.expects(lane),
      mustConfirm: (attempt, nowMs) => this.#guard.mustConfirm(attempt.fetchedAtMs, nowMs),
      confirm: (attempts) => void this.#confirmAgain(attempts),
      loadPayload: (attempt) => this.#loadPayload(attempt),
    })
    this.#keeper = new Keeper({
      data: {
        redis,
        namespace,
        queues,
        workerId: this.id,
        memory: this.#table.memory,
        leaseMs: worker.leaseMs,
        handBackMs: worker.handBackMs,
        maxBlockedMs: worker.maxBlockedMs,
      },
      log: this.#log,
      onLost: (slots) => this.#executor.leaseLost(slots),
      onReturned: (count) => this.#tell('returned', count),
    })
    this.#streams = new StreamRegistry(queues, (streams) => this.#keeper.setStreams(streams))
    this.#keeper.setStreams(this.#streams.streams)
    this.#fetcher = new Fetcher({
      lanes: this.#lanes,
      executor: this.#executor,
      table: this.#table,
      streams: this.#streams,
      guard: this.#guard,
      turn: new AloneTurn(worker.leaseMs),
      clock: this.#clock,
      leaseMs: worker.leaseMs,
      workerId: this.id,
      handlers: new Map(deps.handlers.map((handler) => [handler.job.type, handler])),
      settle,
    })
    this.#heartbeat = new Heartbeat({
      lanes: this.#lanes,
      workerId: this.id,
      leaseMs: worker.leaseMs,
      clock: this.#clock,
      losses: deps.losses,
      types: new Set(deps.handlers.map(({ job }) => job.type)),
      running: () => this.#executor.running,
      wantsAlone: () => !this.#fetching.signal.aborted && this.#fetcher.wantsAlone,
      onTurn: () => this.#fetcher.grantTurn(),
      onStreams: () => this.#fetcher.replan(),
    })
    this.#rescuer = new Rescuer({
      lanes: this.#lanes,
      log: this.#log,
      leaseMs: worker.leaseMs,
      maxStalls: worker.maxStalls,
      unhandledGraceMs: worker.unhandledGraceMs,
      maySweep: () => this.#heartbeat.maySweep,
      serverNow,
    })
    this.#link = new Link(() => this.#openSession(), this.#log, this.#clock)
  }

  /**
   * Connects and begins to work. Resolves when the first session is open; waits for a server that is not there yet. Twice is harmless.
   * Rejects with LayoutError, UnsuitableServerError or AccessError for a server that cannot be used, and is stopped then; with ClosedError once it
   * was stopped: make another.
   */
  start(): Promise<void> {
    if (this.#stopped) return Promise.reject(new ClosedError('This worker'))
    this.#started ??= this.#start()
    return this.#started
  }

  /**
   * Stops: fetching ends at once, running jobs get their signal after `softTimeout`, what still runs after `stopTimeout` is handed back
   * to other workers uncharged. Twice is harmless.
   */
  stop(): Promise<void> {
    this.#stopped ??= this.#shutDown()
    return this.#stopped
  }

  health(): WorkerHealth {
    const now = this.#clock.monotonicMs()
    const age = (at: number) => (at === 0 ? undefined : now - at)
    return {
      isConnected: this.#link.get() !== undefined,
      lastFetchAgeMs: age(this.#fetcher.lastFetchAtMs),
      lastRenewalAgeMs: age(this.#keeper.renewedAtMs),
      running: this.#executor.running,
      buffered: this.#executor.buffered,
      unsettled: this.#settler.unsettled,
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  async #start(): Promise<void> {
    const { signal } = this.#stop
    this.#link.start()
    try {
      // Leases must be kept before anything is fetched.
      await Promise.all([this.#keeper.start(signal), this.#connected(signal)])
    } catch (error) {
      if (signal.aborted) return
      await this.stop()
      throw error
    }
    if (signal.aborted) return
    const { handBackMs } = this.#deps.config.worker
    this.#timer = setInterval(() => this.#tick(), Math.max(5, handBackMs / 2))
    this.#fetchEnded = this.#fetchLoop()
    this.#loops = [this.#fetchEnded, this.#beatLoop(), this.#sweepLoop()]
    const queues = this.#lanes.map(({ queue, concurrency }) => `${queue}:${concurrency}`)
    this.#log.info({ queues }, 'The worker works')
  }

  /** Waits for a server that is away; rejects when there is one that must not be used. */
  async #connected(signal: AbortSignal): Promise<void> {
    while (!signal.aborted && !this.#link.get()) {
      await this.#link.ready(60_000).catch((error: unknown) => {
        if (error instanceof MocaError && !error.retryable) throw error
      })
    }
  }

  async #shutDown(): Promise<void> {
    const { softTimeoutMs, stopTimeoutMs } = this.#deps.config.worker
    this.#fetching.abort()
    this.#executor.stopStarting()
    if (!this.#started) return
    // A read under way may still bring jobs: they go back with what had been fetched before.
    await this.#within(FETCH_END_MS, this.#fetchEnded)
    for (const attempt of this.#executor.takeBuffered()) this.#handBack(attempt)
    const deadline = this.#clock.monotonicMs() + stopTimeoutMs
    await this.#within(softTimeoutMs, this.#executor.idle())
    this.#executor.abortAll()
    await this.#within(deadline - this.#clock.monotonicMs(), this.#executor.idle())
    this.#executor.abandonAll()
    const limit = new AbortController()
    const timer = setTimeout(() => limit.abort(), Math.max(1_000, deadline - this.#clock.monotonicMs()))
    await this.#settler.drain(limit.signal)
    clearTimeout(timer)
    this.#stop.abort()
    clearInterval(this.#timer)
    await this.#keeper.stop()
    await this.#leave()
    await this.#link.close()
    await Promise.all(this.#loops)
    this.#log.info({}, 'The worker has stopped')
  }

  async #within(ms: number, done: Promise<void>): Promise<void> {
    const passed = new AbortController()
    await Promise.race([done, this.#clock.wait(Math.max(0, ms), passed.signal)])
    passed.abort()
  }

  #tick(): void {
    this.#table.beat()
    this.#guard.tick()
    this.#executor.checkDeadlines()
  }

  async #openSession(): Promise<WorkerSession> {
    const { redis, namespace } = this.#deps.config
    // What was fetched and not started goes back with the rest of the old session: it must not start here any more.
    for (const attempt of this.#executor.takeBuffered()) this.#table.release(attempt.slot)
    const session = await openSession({
      redis,
      namespace,
      workerId: this.id,
      number: ++this.#sessions,
      queues: this.#lanes.map(({ queue }) => queue),
      losses: this.#deps.losses,
      before: this.#before,
      running: (queue, letter) => this.#owned(queue, letter),
      onNewBoot: (work, consumer) => this.#dropForgotten(work, consumer),
      onConsumer: (consumer) => this.#keeper.setConsumer(consumer),
    })
    this.#heartbeat.opened(session.work.clockOffsetMs)
    this.#before = { readId: session.read.clientId, workId: session.work.connection.clientId, bootId: session.bootId }
    setImmediate(() => this.#settler.flush())
    return session
  }

  #owned(queue: string, letter: StreamLetter): string[] {
    return this.#table.owned(Number.NEGATIVE_INFINITY).flatMap(({ ref, entry }) => {
      const stream = this.#streams.at(ref)
      return stream.queue === queue && stream.letter === letter ? [entry] : []
    })
  }

  /**
   * A server that came back from an older state may not know that it had handed these out. The same entry is then read again, perhaps
   * by this very worker, which would hold two attempts of one entry; or its id is issued once more for another job (attack 4).
   */
  async #dropForgotten(work: NamespaceConnection, consumer: string): Promise<void> {
    const owned = this.#table.owned(Number.NEGATIVE_INFINITY)
    const holder = { workerId: this.id, consumer, queues: this.#streams.queues }
    const lost = await renewLeases(work, holder, owned, ({ ref }) => this.#streams.at(ref))
    const forgotten = new Set(lost.map(({ slot, entry }) => `${slot} ${entry}`))
    if (forgotten.size === 0) return
    const isForgotten = ({ slot, entry }: Attempt) => forgotten.has(`${slot} ${entry}`)
    const attempts = [...this.#executor.forget(isForgotten), ...this.#settler.forget(isForgotten)]
    for (const attempt of attempts) if (!attempt.isResent) this.#tell('stale', describe(attempt))
    this.#log.warn(
      {
        attempts: attempts.length,
        jobs: attempts.slice(0, 20).map(({ lane, place }) => formatJobId(lane.queue, place)),
      },
      'Redis came back without knowing that it had handed these jobs out; they run again unless their outcome had arrived',
    )
  }

  async #fetchLoop(): Promise<void> {
    const { signal } = this.#fetching
    while (!signal.aborted) {
      const session = await this.#link.ready(60_000).catch(() => undefined)
      if (!session) continue
      try {
        await this.#fetcher.run(session, signal)
      } catch (error) {
        if (signal.aborted) return
        this.#log.warn({ reason: (error as Error).message }, 'Fetching failed; opening a new session')
        // Whatever the reply held is known to nobody here: a new session hands it back.
        session.destroy()
        await session.closed
      }
    }
  }

  async #beatLoop(): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      const session = this.#link.get()
      if (session) {
        await this.#heartbeat
          .beat(session)
          .catch((error: unknown) => this.#serverFailed(session, error, 'sign of life'))
        this.#keeper.setSeen(this.#deps.losses.seenMs)
      }
      await this.#clock.wait(this.#heartbeat.intervalMs * (0.9 + Math.random() * 0.2), signal)
    }
  }

  async #leave(): Promise<void> {
    const session = this.#link.get()
    if (!session) return
    const signOff = this.#heartbeat.leave(session).catch((error: unknown) => {
      this.#log.warn({ reason: (error as Error).message }, 'Could not sign off; others will forget this worker')
    })
    await this.#within(SIGN_OFF_MS, signOff)
  }

  async #sweepLoop(): Promise<void> {
    const { signal } = this.#stop
    const { sweepIntervalMs } = this.#deps.config.worker
    while (!signal.aborted) {
      await this.#clock.wait(sweepIntervalMs * (0.75 + Math.random() / 2), signal)
      const session = this.#link.get()
      if (session && !signal.aborted) {
        await this.#rescuer
          .runOnce(session, signal)
          .catch((error: unknown) => this.#serverFailed(session, error, 'sweep'))
      }
    }
  }

  #serverFailed(session: WorkerSession, error: unknown, what: string): void {
    if (mustReopen(error)) session.destroy()
    if (!this.#stop.signal.aborted)
      this.#log.warn({ reason: (error as Error).message }, `The ${what} failed; trying again`)
  }

  /** After this process stood still: what it held may be others' by now. */
  async #confirmAgain(attempts: readonly Attempt[]): Promise<void> {
    const held = attempts.filter((attempt) => {
      if (this.#table.isHeld(attempt.slot)) return true
      this.#table.release(attempt.slot)
      return false
    })
    const session = this.#link.get()
    try {
      if (session) await this.#fetcher.confirm(session, held)
      else for (const attempt of held) this.#table.release(attempt.slot)
    } catch (error) {
      session?.destroy()
      this.#log.warn({ reason: (error as Error).message }, 'Could not confirm what was fetched; it goes back')
    }
  }

  async #loadPayload({ lane, place }: Attempt): Promise<string | undefined> {
    const session = await this.#link.ready(this.#deps.config.redis.replyTimeoutMs)
    const text = await session.work.connection.send<string | null>([
      'GET',
      largePayloadKey(session.work.prefix, lane.queue, place),
    ])
    return text ?? undefined
  }

  #handBack(attempt: Attempt): void {
    attempt.isSettled = true
    if (this.#table.start(attempt.slot, Number.POSITIVE_INFINITY))
      this.#settler.settle(attempt, { r: 'released' }, this.#clock.monotonicMs())
    else this.#table.release(attempt.slot)
  }

  #onSettled(attempt: Attempt, outcome: Outcome): void {
    if (outcome.r === 'dead') {
      const jobId = formatJobId(attempt.lane.queue, attempt.place)
      this.#log.error({ jobId, type: attempt.type, reason: outcome.rs, error: outcome.er?.m }, 'A job is dead')
    }
    if (this.listenerCount('settled') === 0) return
    const durationMs = attempt.endedAtMs - attempt.startedAtMs
    this.#tell('settled', { ...describe(attempt), outcome: outcome.r, durationMs })
  }

  /** A listener that throws is its owner's fault, and must not stop what tells it. */
  #tell<Name extends keyof WorkerEvents>(name: Name, ...args: WorkerEvents[Name]): void {
    try {
      ;(this.emit as (name: Name, ...args: WorkerEvents[Name]) => boolean).call(this, name, ...args)
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      this.#log.error({ event: name, reason }, 'A listener of the worker failed')
    }
  }

  #onStale(attempt: Attempt): void {
    this.#tell('stale', describe(attempt))
    const connect = () => this.#link.ready(1_000).then(({ work }) => work)
    void reportStale(attempt, { leaseMs: this.#deps.config.worker.leaseMs, connect, log: this.#log })
  }
}

function describe(attempt: Attempt): JobEvent {
  return {
    id: formatJobId(attempt.lane.queue, attempt.place),
    type: attempt.type,
    queue: attempt.lane.queue,
    attempt: attemptNumber(attempt),
  }
}
