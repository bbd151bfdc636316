import type { Attempt } from './attempt.ts'

/** How much work is fetched ahead, in ms of measured work. */
const PREFETCH_MS = 10
const PREFETCH_MOST = 1_000

/** One queue inside a worker: what it holds ahead, what runs, and how fast it works. */
export class Lane {
  readonly queue: string
  readonly weight: number
  readonly concurrency: number
  running = 0
  /** How many it may still start in this round. */
  allowance = 0
  /** Suspects that wait, as last heard. */
  suspects = 0
  /** Jobs that wait to run alone, as last heard. */
  alone = 0
  /** Side streams of types that this worker has handlers for. */
  sides: readonly string[] = []
  /** The front, or the main stream, gave all that was asked for: there is more. */
  isFrontFull = false
  isMainFull = false
  bufferedBytes = 0
  readonly #buffer: (Attempt | undefined)[] = []
  #head = 0
  #ended = 0
  #measuredAtMs = 0
  #perMs = 0

  constructor(queue: string, weight: number, concurrency: number) {
    this.queue = queue
    this.weight = weight
    this.concurrency = concurrency
  }

  get buffered(): number {
    return this.#buffer.length - this.#head
  }

  get canStart(): boolean {
    return this.running < this.concurrency && this.#head < this.#buffer.length
  }

  get freeSlots(): number {
    return Math.max(0, this.concurrency - this.running - this.buffered)
  }

  push(attempt: Attempt): void {
    this.#buffer.push(attempt)
    this.bufferedBytes += attempt.payloadText.length
  }

  shift(): Attempt | undefined {
    if (this.#head === this.#buffer.length) return undefined
    const attempt = this.#buffer[this.#head] as Attempt
    this.#buffer[this.#head++] = undefined
    if (this.#head === this.#buffer.length) {
      this.#buffer.length = 0
      this.#head = 0
    }
    this.bufferedBytes -= attempt.payloadText.length
    return attempt
  }

  takeAll(): Attempt[] {
    const all = this.#buffer.slice(this.#head) as Attempt[]
    this.#buffer.length = 0
    this.#head = 0
    this.bufferedBytes = 0
    return all
  }

  ended(): void {
    this.running--
    this.#ended++
  }

  /** How many more should be fetched now; 0 while what is held still lasts for half of the time that is fetched ahead. */
  wanted(nowMs: number): number {
    const ahead = this.#ahead(nowMs)
    const wanted = this.concurrency + ahead - this.running - this.buffered
    return wanted >= Math.max(1, ahead / 2) ? wanted : 0
  }

  /** Jobs that `PREFETCH_MS` of work amount to, by the speed since the last look, smoothed. */
  #ahead(nowMs: number): number {
    const passedMs = nowMs - this.#measuredAtMs
    if (passedMs >= 1) {
      const perMs = this.#ended / passedMs
      // Falls at once, rises within a few looks: what is held too long goes back.
      this.#perMs = perMs < this.#perMs ? (this.#perMs + 3 * perMs) / 4 : (this.#perMs + perMs) / 2
      this.#ended = 0
      this.#measuredAtMs = nowMs
    }
    return Math.min(PREFETCH_MOST, Math.floor(this.#perMs * PREFETCH_MS))
  }
}
