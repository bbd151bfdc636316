/** One answer of the server that tells its clock, with the monotonic ms at which it was asked and heard, and the wall clock then. */
export interface ClockReading {
  readonly toldMs: number
  readonly askedMs: number
  readonly heardMs: number
  readonly wallMs: number
}

/** The server's clock, as well as this process knows it. */
export class ServerClock {
  #offsetMs = 0
  #last: ClockReading | undefined

  /** Milliseconds to add to this process's wall clock. */
  get offsetMs(): number {
    return this.#offsetMs
  }

  /** Begins with what was known when a connection was opened; no reading before counts any more. */
  begin(offsetMs: number): void {
    this.#offsetMs = offsetMs
    this.#last = undefined
  }

  /**
   * Takes note of a reading. True: since the one before, the server's clock was set, by more than `toleranceMs`. The server read its
   * clock at some instant between the question and the hearing: a process that stood still in between tells nothing by that.
   */
  read(reading: ClockReading, toleranceMs: number): boolean {
    const { toldMs, askedMs, heardMs, wallMs } = reading
    const last = this.#last
    this.#last = reading
    this.#offsetMs = toldMs - (wallMs - (heardMs - askedMs) / 2)
    if (!last) return false
    const passedMs = toldMs - last.toldMs
    return passedMs < askedMs - last.heardMs - toleranceMs || passedMs > heardMs - last.askedMs + toleranceMs
  }
}
