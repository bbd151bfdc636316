import { type Clock, systemClock } from '../clock.ts'
import { ClosedError, ConnectionError, MocaError } from '../errors.ts'
import type { Logger } from '../logger.ts'
import { RepeatedWarning } from '../service/repeated-warning.ts'
import { asAccessError } from './access.ts'

const FIRST_DELAY_MS = 20
const LONGEST_DELAY_MS = 1_000
const CLOSE_MS = 500

/** Something open that can break: its `closed` resolves with the reason. */
export interface Breakable {
  readonly closed: Promise<Error>
  destroy(): void
}

/**
 * Keeps one `T` open: opens it, and when it breaks opens another, with back-off and jitter, until closed.
 * `get()` is what is open now; `ready()` waits for it. An error that another try cannot mend (e.g. an unknown layout, a wrong password) rejects
 * everybody who waits, and trying goes on at the longest delay: the server may be mended without a restart of this process.
 */
export class Link<T extends Breakable> {
  readonly #open: () => Promise<T>
  readonly #clock: Clock
  readonly #stop = new AbortController()
  #current: T | undefined
  #loop: Promise<void> | undefined
  #lastError: Error | undefined
  // An outage of an hour is one thing to know, not 3,600.
  readonly #outage: RepeatedWarning
  #waiters = new Set<{ resolve: (open: T) => void; reject: (error: Error) => void }>()

  constructor(open: () => Promise<T>, log: Logger, clock: Clock = systemClock) {
    this.#open = open
    this.#outage = new RepeatedWarning(log, clock)
    this.#clock = clock
  }

  get(): T | undefined {
    return this.#current
  }

  /** Why nothing is open; undefined while something is, or before the first try has failed. */
  get lastError(): Error | undefined {
    return this.#lastError
  }

  /** Begins to connect in the background. Harmless when it has begun. */
  start(): void {
    this.#loop ??= this.#run()
  }

  /** What is open, at once or after at most `timeoutMs`; else rejects with the reason why it is not. */
  ready(timeoutMs: number): Promise<T> {
    if (this.#stop.signal.aborted) return Promise.reject(new ClosedError('The connection'))
    this.start()
    if (this.#current) return Promise.resolve(this.#current)
    return new Promise((resolve, reject) => {
      const waiter = {
        resolve: (open: T) => {
          clearTimeout(timer)
          resolve(open)
        },
        reject: (error: Error) => {
          clearTimeout(timer)
          reject(error)
        },
      }
      const timer = setTimeout(() => {
        this.#waiters.delete(waiter)
        reject(this.#lastError ?? new ConnectionError(`Redis could not be reached within ${timeoutMs} ms`))
      }, timeoutMs)
      this.#waiters.add(waiter)
    })
  }

  /** Ends it for good. What is just being opened may take a little longer to go. Twice is harmless. */
  async close(): Promise<void> {
    this.#stop.abort()
    this.#current?.destroy()
    this.#settleWaiters((waiter) => waiter.reject(new ClosedError('The connection')))
    const passed = new AbortController()
    await Promise.race([this.#loop, this.#clock.wait(CLOSE_MS, passed.signal)])
    passed.abort()
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop
    let delayMs = FIRST_DELAY_MS
    while (!signal.aborted) {
      try {
        const open = await this.#open()
        if (signal.aborted) {
          open.destroy()
          return
        }
        this.#current = open
        this.#lastError = undefined
        this.#outage.works('Connected')
        delayMs = FIRST_DELAY_MS
        this.#settleWaiters((waiter) => waiter.resolve(open))
        const reason = await open.closed
        this.#current = undefined
        this.#lastError = reason
        if (signal.aborted) return
        this.#outage.failed(reason.message, 'The connection broke; opening another')
      } catch (cause) {
        const refusal = asAccessError(cause)
        const error = refusal instanceof Error ? refusal : new Error(String(refusal))
        this.#lastError = error
        const isFinal = error instanceof MocaError && !error.retryable
        if (isFinal) this.#settleWaiters((waiter) => waiter.reject(error))
        if (isFinal) delayMs = LONGEST_DELAY_MS
        this.#outage.failed(error.message, 'Could not connect; trying again')
      }
      await this.#clock.wait(delayMs * (0.5 + Math.random() / 2), signal)
      delayMs = Math.min(delayMs * 2, LONGEST_DELAY_MS)
    }
  }

  #settleWaiters(settle: (waiter: { resolve: (open: T) => void; reject: (error: Error) => void }) => void): void {
    const waiters = this.#waiters
    this.#waiters = new Set()
    for (const waiter of waiters) settle(waiter)
  }
}
