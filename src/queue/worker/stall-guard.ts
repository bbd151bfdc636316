/**
 * Notices that this process did not run for a while (SIGSTOP, a suspended machine, a blocked event loop): what was asked or fetched
 * before may belong to others by now, and is confirmed with the server before it starts (attack 6).
 */
export class StallGuard {
  readonly #limitMs: number
  readonly #now: () => number
  #tickedAtMs: number
  /** Whatever was sent or fetched before this instant must be confirmed. */
  #confirmBeforeMs = Number.NEGATIVE_INFINITY

  constructor(limitMs: number, now: () => number) {
    this.#limitMs = limitMs
    this.#now = now
    this.#tickedAtMs = now()
  }

  /** Call from a regular timer. */
  tick(): void {
    this.#look(this.#now())
  }

  /** True when something sent or fetched at `atMs` may be stale. */
  mustConfirm(atMs: number, nowMs: number): boolean {
    if (nowMs - this.#tickedAtMs > this.#limitMs) this.#look(nowMs)
    return atMs < this.#confirmBeforeMs
  }

  #look(nowMs: number): void {
    if (nowMs - this.#tickedAtMs > this.#limitMs) this.#confirmBeforeMs = nowMs
    this.#tickedAtMs = nowMs
  }
}
