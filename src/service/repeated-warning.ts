import { type Clock, systemClock } from '../clock.ts'
import type { Logger } from '../logger.ts'

/** A failure that repeats itself is told again so often. */
const TELL_AGAIN_MS = 60_000

/** Tells of a failure that may repeat itself for long: when it begins, when its reason changes, once a minute, and when it ends. */
export class RepeatedWarning {
  readonly #log: Logger
  readonly #clock: Clock
  #told: { readonly reason: string; readonly atMs: number } | undefined

  constructor(log: Logger, clock: Clock = systemClock) {
    this.#log = log
    this.#clock = clock
  }

  /** It failed. Repetitions are told at the level debug. */
  failed(reason: string, message: string, facts: object = {}): void {
    const atMs = this.#clock.monotonicMs()
    const isNews = this.#told?.reason !== reason || atMs - this.#told.atMs >= TELL_AGAIN_MS
    if (isNews) this.#told = { reason, atMs }
    this.#log[isNews ? 'warn' : 'debug']({ ...facts, reason }, message)
  }

  /** It works. `message`: what is told where a failure was told before. */
  works(message: string): void {
    if (this.#told) this.#log.info({}, message)
    this.#told = undefined
  }
}
