import type { StandardSchemaV1 } from '@standard-schema/spec'
import { invalidPayload } from '../../job/payload.ts'
import { describeError } from '../../job/control-flow.ts'
import type { Clock } from '../../clock.ts'
import { LeaseLostError, type PayloadError } from '../../errors.ts'
import type { Logger } from '../../logger.ts'
import { formatJobId } from '../../job/job-id.ts'
import { type Attempt, attemptNumber } from './attempt.ts'
import { AttemptContext } from './attempt-context.ts'
import { retryOf, timeoutMsOf } from '../job-overrides.ts'
import type { Lane } from './lane.ts'
import type { LeaseTable } from './lease-table.ts'
import { decideFailure, type Outcome } from './outcome.ts'

/** How many jobs start in one turn of the event loop: replies and timers get their share between. */
const TURN_STARTS = 64
/** How many jobs start, about, before the lanes that have some are dealt their shares anew. */
const ROUND_STARTS = 64
/** A handler past its timeout (and the grace after it) keeps its lease for so long, so that its outcome still counts. */
const LEASE_MARGIN_MS = 30_000

export interface ExecutorDeps {
  readonly lanes: readonly Lane[]
  readonly table: LeaseTable
  readonly clock: Clock
  readonly log: Logger
  readonly strict: boolean
  readonly graceMs: number
  /** Reports an outcome. */
  readonly settle: (attempt: Attempt, outcome: Outcome, endedAtMs: number) => void
  /** There is room in a lane, or nothing runs any more. */
  readonly onRoom: (lane: Lane) => void
  /** More jobs of a lane are on their way here. */
  readonly expects: (lane: Lane) => boolean
  /** What was fetched before the process stood still must be confirmed before it starts. */
  readonly mustConfirm: (attempt: Attempt, nowMs: number) => boolean
  readonly confirm: (attempts: Attempt[]) => void
  /** Reads a payload that stands beside the stream; undefined = it is gone. */
  readonly loadPayload: (attempt: Attempt) => Promise<string | undefined>
  /** The server's clock, as well as this process knows it (ms). */
  readonly serverNow: () => number
}

const COMPLETED: Outcome = { r: 'completed' }

/**
 * Runs handlers. Which queue's job starts next follows the weights: in each round a queue with jobs may start its share, within its own
 * concurrency. A round ends when every queue that could start something has used up its share. A queue whose next jobs are on their
 * way counts as well: a busy process uses up what it holds of a queue faster than it can fetch, and would never see two queues
 * compete.
 */
export class Executor {
  readonly #deps: ExecutorDeps
  readonly #running = new Set<Attempt>()
  #isTurnScheduled = false
  #turnStarts = 0
  #isStopping = false
  #startingIn: Lane | undefined
  #alone: Attempt | undefined
  #onIdle: (() => void)[] = []

  constructor(deps: ExecutorDeps) {
    this.#deps = deps
  }

  get running(): number {
    return this.#running.size
  }

  get buffered(): number {
    return this.#deps.lanes.reduce((sum, lane) => sum + lane.buffered, 0)
  }

  /** A suspect runs that may have killed its process: nothing else may run beside it. */
  get isAlone(): boolean {
    return this.#alone !== undefined && this.#running.has(this.#alone)
  }

  get entries(): readonly Attempt[] {
    return [...this.#running]
  }

  accept(attempts: readonly Attempt[]): void {
    for (const attempt of attempts) attempt.lane.push(attempt)
    this.#startAll()
  }

  /** Runs one suspect with nothing beside it. */
  runAlone(attempt: Attempt): void {
    this.#alone = attempt
    this.#start(attempt)
  }

  /** Nothing starts any more. */
  stopStarting(): void {
    this.#isStopping = true
  }

  /** What waits to start, taken out: it must be confirmed, handed back or dropped. It is still held. */
  takeBuffered(): Attempt[] {
    return this.#deps.lanes.flatMap((lane) => lane.takeAll())
  }

  /** Aborts the signals of everything that runs. */
  abortAll(): void {
    for (const attempt of this.#running) this.#abort(attempt, 'shutdown', new Error('The worker is shutting down'))
  }

  /** Gives up what still runs: it is handed back, and nothing that it does later counts. */
  abandonAll(): void {
    for (const attempt of this.#running) this.#settle(attempt, { r: 'released' })
  }

  /** The keeper found that these were taken over while they ran. */
  leaseLost(slots: readonly { slot: number; entry: string }[]): void {
    const lost = new Set(slots.map(({ slot, entry }) => `${slot}:${entry}`))
    for (const attempt of this.#running) {
      if (!lost.has(`${attempt.slot}:${attempt.entry}`) || attempt.isSettled) continue
      const message = `The lease of job ${attempt.lane.queue}.0.${attempt.place} was taken over while it ran; its result will be refused`
      this.#abort(
        attempt,
        'lease_lost',
        new LeaseLostError(message, {
          jobId: formatJobId(attempt.lane.queue, attempt.place),
          attempt: attemptNumber(attempt),
        }),
      )
    }
  }

  /**
   * The server forgot that these had been handed out: they are, or will be, other attempts. Nothing that these do counts any more.
   */
  forget(isForgotten: (attempt: Attempt) => boolean): Attempt[] {
    const forgotten = [...this.#running].filter((attempt) => !attempt.isSettled && isForgotten(attempt))
    for (const attempt of forgotten) {
      attempt.isSettled = true
      this.#deps.table.release(attempt.slot)
      const message = `Redis forgot that job ${formatJobId(attempt.lane.queue, attempt.place)} had been handed out; its result will not count`
      this.#abort(
        attempt,
        'lease_lost',
        new LeaseLostError(message, {
          jobId: formatJobId(attempt.lane.queue, attempt.place),
          attempt: attemptNumber(attempt),
        }),
      )
    }
    return forgotten
  }

  /** Aborts what is past its timeout, and counts as failed what does not return within the grace after it. Call from a regular timer. */
  checkDeadlines(): void {
    const now = this.#deps.clock.monotonicMs()
    for (const attempt of this.#running) {
      if (now < attempt.deadlineMs || attempt.isSettled) continue
      if (attempt.stopReason === undefined) this.#abort(attempt, 'timeout', new Error('The job ran into its timeout'))
      if (now >= attempt.deadlineMs + this.#deps.graceMs)
        this.#failed(attempt, new Error('The handler ignored its signal'))
    }
  }

  /** Resolves when nothing runs. */
  idle(): Promise<void> {
    if (this.#running.size === 0) return Promise.resolve()
    return new Promise((resolve) => {
      this.#onIdle.push(resolve)
    })
  }

  /** Nobody is waited for any more: what is held may start. */
  resume(): void {
    this.#scheduleTurn()
  }

  // Shares are dealt at the beginning of a turn only: in its midst handlers that have ended may still count as running.
  readonly #turn = (): void => {
    this.#isTurnScheduled = false
    this.#turnStarts = 0
    const { lanes, strict } = this.#deps
    if (strict || !lanes.some((lane) => lane.allowance > 0 && this.#competes(lane))) this.#dealRound()
    this.#startAll()
  }

  #startAll(): void {
    for (const lane of this.#deps.lanes) this.#startMore(lane)
  }

  #dealRound(): void {
    const { lanes, strict } = this.#deps
    const competing = lanes.filter((lane) => this.#competes(lane))
    const weights = competing.reduce((sum, lane) => sum + lane.weight, 0)
    const least = Math.min(...competing.map((lane) => lane.weight))
    // Whole starts for the smallest, so that 100 to 1 stays 100 to 1. A lane that joins in the middle of a round gets its share of it.
    const perWeight = competing.length > 0 ? Math.max(ROUND_STARTS / weights, 1 / least) : ROUND_STARTS
    for (const lane of lanes) {
      lane.allowance = strict ? Number.POSITIVE_INFINITY : Math.max(1, Math.round(lane.weight * perWeight))
    }
  }

  #competes(lane: Lane): boolean {
    return lane.canStart || this.#isAwaited(lane)
  }

  /** It has room, holds nothing, and the next reply brings jobs of it. */
  #isAwaited(lane: Lane): boolean {
    return lane.buffered === 0 && lane.running < lane.concurrency && this.#deps.expects(lane)
  }

  #startMore(lane: Lane): void {
    if (this.#isStopping || this.isAlone) return
    this.#startingIn = lane
    while (this.#turnStarts < TURN_STARTS && lane.canStart && this.#isItsTurn(lane)) {
      if (!this.#start(lane.shift() as Attempt)) continue
      this.#turnStarts++
      lane.allowance--
    }
    this.#startingIn = undefined
    if (lane.canStart && !this.#isHeldUp(lane)) this.#scheduleTurn()
  }

  /** With `strict`, a queue waits while one of a higher weight could start something. Lanes are in the order of their weights. */
  #isItsTurn(lane: Lane): boolean {
    const { lanes, strict } = this.#deps
    if (!strict) return lane.allowance > 0
    return !lanes.slice(0, lanes.indexOf(lane)).some((higher) => this.#competes(higher))
  }

  /** It waits for a reply, which begins a turn: until then another turn would change nothing. */
  #isHeldUp(lane: Lane): boolean {
    const { lanes, strict } = this.#deps
    const others = strict ? lanes.slice(0, lanes.indexOf(lane)) : lanes
    return others.some((other) => other.allowance > 0 && this.#isAwaited(other))
  }

  #scheduleTurn(): void {
    if (this.#isTurnScheduled) return
    this.#isTurnScheduled = true
    setImmediate(this.#turn)
  }

  /** False: it does not start (now), and used up nothing of its lane's share. */
  #start(attempt: Attempt): boolean {
    const { table, clock } = this.#deps
    const now = clock.monotonicMs()
    if (this.#deps.mustConfirm(attempt, now)) {
      this.#deps.confirm([attempt, ...this.takeBuffered()])
      return false
    }
    const { handler, options, lane } = attempt
    const timeoutMs = timeoutMsOf(options, handler?.job.timeoutMs ?? 0)
    attempt.startedAtMs = now
    attempt.deadlineMs = timeoutMs > 0 ? now + timeoutMs : Number.POSITIVE_INFINITY
    if (!table.start(attempt.slot, attempt.deadlineMs + Math.max(LEASE_MARGIN_MS, this.#deps.graceMs * 2))) {
      table.release(attempt.slot) // the keeper has handed it back
      return false
    }
    lane.running++
    this.#running.add(attempt)
    if (this.#isExpired(attempt)) {
      this.#settle(attempt, { r: 'expired' })
      this.#ended(attempt)
    } else if (options.p !== undefined) {
      void this.#runLarge(attempt)
    } else {
      this.#run(attempt, attempt.payloadText)
    }
    return true
  }

  /** Only a job that has not started yet expires: one that failed is retried by its policy. */
  #isExpired({ options, entry }: Attempt): boolean {
    if (options.x === undefined || (options.a ?? 0) > 0) return false
    return this.#deps.serverNow() > (options.at ?? Number.parseInt(entry, 10)) + options.x
  }

  async #runLarge(attempt: Attempt): Promise<void> {
    try {
      const text = await this.#deps.loadPayload(attempt)
      if (text === undefined)
        this.#bury(attempt, 'unreadable', new Error('Its payload, kept beside the stream, is gone'))
      else if (this.#mayBegin(attempt)) this.#run(attempt, text)
    } catch (error) {
      // The server is away: no fault of the job.
      this.#deps.log.warn(
        { jobId: formatJobId(attempt.lane.queue, attempt.place), reason: (error as Error).message },
        'Could not read a large payload; the job is handed back',
      )
      this.#settle(attempt, { r: 'released' })
      this.#ended(attempt)
    }
  }

  #run(attempt: Attempt, text: string): void {
    let payload: unknown
    try {
      payload = JSON.parse(text)
    } catch (error) {
      this.#bury(attempt, 'unreadable', error)
      return
    }
    const schema = attempt.handler?.job.schema
    if (!schema) {
      this.#call(attempt, payload)
      return
    }
    let result: StandardSchemaV1.Result<unknown> | Promise<StandardSchemaV1.Result<unknown>>
    try {
      result = schema['~standard'].validate(payload)
    } catch (error) {
      this.#threw(attempt, error)
      return
    }
    if (!(result instanceof Promise)) {
      this.#validated(attempt, result)
      return
    }
    result.then(
      (settled) => {
        if (this.#mayBegin(attempt)) this.#validated(attempt, settled)
      },
      (error: unknown) => this.#threw(attempt, error),
    )
  }

  /** After a wait before the handler: the attempt may have ended meanwhile, or this process been stopped and another taken the job over. */
  #mayBegin(attempt: Attempt): boolean {
    if (attempt.stopReason === 'timeout') {
      this.#failed(attempt, new Error('The timeout passed before the handler could begin'))
      this.#ended(attempt)
      return false
    }
    const hasEnded = attempt.isSettled || attempt.stopReason !== undefined
    if (!hasEnded && !this.#deps.mustConfirm(attempt, this.#deps.clock.monotonicMs())) return true
    this.#settle(attempt, { r: 'released' })
    this.#ended(attempt)
    return false
  }

  /** Issues are the payload's fault, which no retry mends. A schema that breaks, or whose database is away, is an error like a handler's. */
  #validated(attempt: Attempt, result: StandardSchemaV1.Result<unknown>): void {
    let refusal: PayloadError | undefined
    try {
      refusal = result.issues && invalidPayload(attempt.type, result.issues)
    } catch (error) {
      this.#threw(attempt, error) // it returned something else than the standard says
      return
    }
    if (refusal) this.#bury(attempt, 'invalid payload', refusal)
    else this.#call(attempt, (result as StandardSchemaV1.SuccessResult<unknown>).value)
  }

  #call(attempt: Attempt, payload: unknown): void {
    const context = new AttemptContext(attempt, payload, this.#deps.log)
    try {
      const run = attempt.handler?.run as unknown as (context: AttemptContext) => unknown
      const result = run(context)
      if (
        result !== null &&
        typeof result === 'object' &&
        typeof (result as PromiseLike<unknown>).then === 'function'
      ) {
        ;(result as PromiseLike<unknown>).then(
          () => this.#completed(attempt),
          (error: unknown) => this.#threw(attempt, error),
        )
      } else this.#completed(attempt)
    } catch (error) {
      this.#threw(attempt, error)
    }
  }

  #completed(attempt: Attempt): void {
    this.#settle(attempt, COMPLETED)
    this.#ended(attempt)
  }

  #threw(attempt: Attempt, error: unknown): void {
    this.#failed(attempt, error)
    this.#ended(attempt)
  }

  #failed(attempt: Attempt, error: unknown): void {
    const { handler, options } = attempt
    if (!handler || attempt.isSettled) return
    const outcome = decideFailure({
      error,
      charged: options.a ?? 0,
      policy: retryOf(options, handler.job.retry),
      timeoutMs: timeoutMsOf(options, handler.job.timeoutMs),
      stopReason: attempt.stopReason,
      chance: Math.random(),
    })
    if (outcome.r === 'delayed' && outcome.er) {
      const facts = {
        jobId: formatJobId(attempt.lane.queue, attempt.place),
        type: attempt.type,
        attempt: attemptNumber(attempt),
      }
      this.#deps.log.warn(
        { ...facts, error: outcome.er.m, nextInMs: outcome.d },
        'An attempt failed; the job will be tried again',
      )
    }
    this.#settle(attempt, outcome)
  }

  #bury(attempt: Attempt, reason: string, error: unknown): void {
    this.#settle(attempt, { r: 'dead', rs: reason, er: describeError(error) })
    this.#ended(attempt)
  }

  /** Only the first outcome of an attempt counts. */
  #settle(attempt: Attempt, outcome: Outcome): void {
    if (attempt.isSettled) return
    attempt.isSettled = true
    this.#deps.table.finish(attempt.slot)
    this.#deps.settle(attempt, outcome, this.#deps.clock.monotonicMs())
  }

  /** The handler has returned: its place is free. */
  #ended(attempt: Attempt): void {
    const { lane } = attempt
    if (!this.#running.delete(attempt)) return // a thenable of somebody's own may call back twice
    lane.ended()
    if (this.#running.size === 0) this.#nothingRuns()
    if (this.#startingIn !== lane && lane.canStart) {
      if (this.#isItsTurn(lane)) this.#startMore(lane)
      else this.#scheduleTurn()
    }
    this.#deps.onRoom(lane)
  }

  #nothingRuns(): void {
    // What was confirmed while a job ran alone may start now.
    if (this.#alone) this.#scheduleTurn()
    this.#alone = undefined
    for (const resolve of this.#onIdle.splice(0)) resolve()
  }

  #abort(attempt: Attempt, reason: NonNullable<Attempt['stopReason']>, error: Error): void {
    if (attempt.stopReason !== undefined) return
    attempt.stopReason = reason
    attempt.controller ??= new AbortController()
    attempt.controller.abort(error)
  }
}
