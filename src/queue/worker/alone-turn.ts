const FIRST_DRAIN_MS = 1_000
/** After a drain in vain a busy worker does without another for so many times its length: it gives away a twentieth of its time at most. */
const REST = 20

/**
 * When a worker makes way for a job that must run alone. An idle one can at once; a busy one must drain: it fetches nothing until all
 * that it has is done. A drain is bounded, is not begun while something has been running for longer than the bound, and when it was in
 * vain, not repeated while something runs that outlasted it: an hour-long job and a suspect together do not hold up the others. How many workers may run a job alone at one time, the server says (beat.lua).
 */
export class AloneTurn {
  readonly #longestMs: number
  #isGranted = false
  #drainEndsAtMs: number | undefined
  #drainMs = FIRST_DRAIN_MS
  #notBeforeMs = Number.NEGATIVE_INFINITY
  /** What began before this instant outlasted a drain. */
  #outlastedAtMs = Number.NEGATIVE_INFINITY
  #begunAtMs: number | undefined

  /** `longestMs`: bound of a drain, which begins with a second and doubles when it was in vain. */
  constructor(longestMs: number) {
    this.#longestMs = Math.max(FIRST_DRAIN_MS, longestMs)
  }

  /** The server said that this worker may run a job alone now. */
  get isGranted(): boolean {
    return this.#isGranted
  }

  /** A job ran alone since the turn was granted: others come first now. */
  get hasRun(): boolean {
    return this.#begunAtMs !== undefined
  }

  /** Whether to ask for a turn. `oldestStartMs`: start of what has been running longest; Infinity = nothing runs. */
  wants(nowMs: number, isIdle: boolean, oldestStartMs: number): boolean {
    if (this.#isGranted || isIdle) return true
    const mayEndSoon = oldestStartMs > this.#outlastedAtMs && nowMs - oldestStartMs <= this.#longestMs
    return mayEndSoon && nowMs >= this.#notBeforeMs
  }

  grant(): void {
    this.#isGranted = true
  }

  /** While this worker is not idle: whether to go on waiting for what runs. False: the turn is given up. */
  drains(nowMs: number): boolean {
    this.#drainEndsAtMs ??= nowMs + this.#drainMs
    if (nowMs < this.#drainEndsAtMs) return true
    this.#outlastedAtMs = nowMs
    this.#notBeforeMs = nowMs + this.#drainMs * REST
    this.#drainMs = Math.min(this.#longestMs, this.#drainMs * 2)
    this.#end()
    return false
  }

  /** A job begins to run alone. */
  began(nowMs: number): void {
    this.#begunAtMs = nowMs
    this.#drainEndsAtMs = undefined
    this.#drainMs = FIRST_DRAIN_MS
  }

  /** Nobody else waits: the turn goes on. */
  goesOn(): void {
    this.#begunAtMs = undefined
  }

  /** No job waits that must run alone, or others wait and come first: for as long as the job that ran alone took, unless this worker is idle. */
  giveUp(nowMs: number): void {
    if (this.#begunAtMs !== undefined) this.#notBeforeMs = nowMs + Math.max(FIRST_DRAIN_MS, nowMs - this.#begunAtMs)
    this.#end()
  }

  #end(): void {
    this.#isGranted = false
    this.#drainEndsAtMs = undefined
    this.#begunAtMs = undefined
  }
}
