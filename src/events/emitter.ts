import type { Clock } from '../clock.ts'
import { ClosedError, EmitError, MocaError, QueueFullError } from '../errors.ts'
import { type EncodedEvent, encodeEvent, type EventInput } from './event.ts'
import type { EventBackend, PublishOutcome } from './event-backend.ts'

export interface EmitterOptions {
  /** An emit settles within it. */
  readonly timeoutMs: number
  /** Longest envelope. */
  readonly maxBytes: number
  /** The `source` of events that name none. */
  readonly source: string | undefined
  /** So many may wait; more are refused at once. */
  readonly maxPending: number
}

export interface EmitterDeps {
  readonly backend: Pick<EventBackend, 'publishBatch' | 'ready'>
  readonly clock: Clock
  readonly options: EmitterOptions
}

/** An event on its way, and who waits for it. */
interface Emission {
  readonly event: EncodedEvent
  readonly resolve: (result: { readonly id: string }) => void
  readonly reject: (error: Error) => void
  readonly timer: NodeJS.Timeout
  isSent: boolean
  isSettled: boolean
}

const MOST_EVENTS = 500
const FIRST_DELAY_MS = 20
const LONGEST_DELAY_MS = 500
const READY_MS = 500
const NO_OUTCOME: PublishOutcome = {
  status: 'unavailable',
  reason: 'the backend did not say what became of it',
  mayHaveBeenApplied: true,
}

/**
 * Emits events in the order of the calls: what comes while a batch is under way goes with the next one. Every emit settles within
 * `timeoutMs`; what an outage kept from being sent is tried again until then.
 */
export class Emitter {
  readonly #deps: EmitterDeps
  #waiting: Emission[] = []
  #pumping: Promise<void> | undefined
  #lastReason: string | undefined
  #isClosed = false

  constructor(deps: EmitterDeps) {
    this.#deps = deps
  }

  /** Rejects with OptionError, PayloadError, QueueFullError, or EmitError. */
  emit(topic: string, input: EventInput): Promise<{ readonly id: string }> {
    try {
      return this.#add(this.#encode(topic, input))
    } catch (error) {
      return Promise.reject(error instanceof Error ? error : new Error(String(error)))
    }
  }

  /** Refuses new events and waits until the others are settled, which `timeoutMs` bounds. Twice is harmless. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.#pumping
  }

  #encode(topic: string, input: EventInput): EncodedEvent {
    const { clock, options } = this.#deps
    if (this.#isClosed) throw new ClosedError('This Moca')
    if (this.#isFull()) {
      const { length } = this.#waiting
      throw new EmitError(
        'connection_lost',
        `${length} events wait already (maxPendingJobs is ${options.maxPending}). Nothing was sent.`,
        false,
      )
    }
    const { source, maxBytes } = options
    return encodeEvent(topic, input, { nowMs: clock.wallMs(), source, maxBytes })
  }

  #isFull(): boolean {
    const { maxPending } = this.#deps.options
    // Those that are settled already are only taken out when it matters.
    return this.#waiting.length >= maxPending && this.#hasWaiting() && this.#waiting.length >= maxPending
  }

  #add(event: EncodedEvent): Promise<{ readonly id: string }> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#expire(emission), this.#deps.options.timeoutMs)
      const emission: Emission = { event, resolve, reject, timer, isSent: false, isSettled: false }
      this.#waiting.push(emission)
      this.#pumping ??= this.#pump()
    })
  }

  async #pump(): Promise<void> {
    // Those of this turn of the event loop go together.
    await new Promise(setImmediate)
    let delayMs = FIRST_DELAY_MS
    while (this.#hasWaiting()) {
      const isThrough = (await this.#isReady()) && (await this.#publishSome())
      if (isThrough) delayMs = FIRST_DELAY_MS
      else if (this.#hasWaiting()) {
        await this.#deps.clock.wait(delayMs * (0.5 + Math.random() / 2))
        delayMs = Math.min(delayMs * 2, LONGEST_DELAY_MS)
      }
    }
    this.#pumping = undefined
  }

  /** Those that are too late by now must not be sent: their callers were told so. */
  #hasWaiting(): boolean {
    this.#waiting = this.#waiting.filter(({ isSettled }) => !isSettled)
    return this.#waiting.length > 0
  }

  async #isReady(): Promise<boolean> {
    try {
      await this.#deps.backend.ready(READY_MS)
      return true
    } catch (error) {
      this.#lastReason = error instanceof Error ? error.message : String(error)
      if (!isFinal(error)) return false
      for (const emission of this.#waiting) this.#end(emission, () => emission.reject(error))
      return false
    }
  }

  /** Returns whether the backend took what it was given. */
  async #publishSome(): Promise<boolean> {
    if (!this.#hasWaiting()) return true
    const batch = this.#waiting.splice(0, MOST_EVENTS)
    for (const emission of batch) emission.isSent = true
    const outcomes = await this.#deps.backend.publishBatch(batch.map(({ event }) => event)).catch(() => [])
    const again: Emission[] = []
    for (const [index, emission] of batch.entries()) {
      if (this.#settle(emission, outcomes[index])) continue
      emission.isSent = false
      again.push(emission)
    }
    this.#waiting.unshift(...again)
    return again.length === 0
  }

  /** Returns false for one that is worth another try. */
  #settle(emission: Emission, outcome: PublishOutcome = NO_OUTCOME): boolean {
    if (outcome.status === 'published') {
      this.#end(emission, () => emission.resolve({ id: emission.event.id }))
      return true
    }
    const { reason } = outcome
    if (outcome.status === 'refused') {
      const message = `The event ${emission.event.type} cannot be emitted: ${reason}`
      this.#end(emission, () => emission.reject(new EmitError('event_refused', message, false)))
      return true
    }
    const { cause, mayHaveBeenApplied } = outcome
    this.#lastReason = reason
    if (mayHaveBeenApplied) {
      const message = `The connection broke before the emit was answered: ${reason}`
      this.#end(emission, () => emission.reject(new EmitError('connection_lost', message, true, cause)))
      return true
    }
    if (!isFinal(cause) && !(cause instanceof QueueFullError)) return false
    this.#end(emission, () => emission.reject(cause))
    return true
  }

  #expire(emission: Emission): void {
    const { isSent } = emission
    const state = isSent ? 'was sent and not answered' : 'could not be sent'
    const why = isSent || this.#lastReason === undefined ? '' : `: ${this.#lastReason}`
    const message = `The emit ${state} within ${this.#deps.options.timeoutMs} ms (enqueueTimeout)${why}`
    this.#end(emission, () => emission.reject(new EmitError('emit_timeout', message, isSent)))
  }

  #end(emission: Emission, tell: () => void): void {
    if (emission.isSettled) return
    emission.isSettled = true
    clearTimeout(emission.timer)
    tell()
  }
}

/** An error that no other try can mend. */
function isFinal(error: unknown): error is MocaError {
  return error instanceof MocaError && !error.retryable
}
