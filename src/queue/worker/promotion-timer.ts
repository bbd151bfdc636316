import { systemClock } from '../../clock.ts'
import { mustReopen, type NamespaceConnection } from '../namespace.ts'
import { loadScripts } from '../scripts.ts'

const BATCH = 1_000
/** Least time between two promotions of one worker: reads and settlements of others go between. */
const PAUSE_MS = 5
/** A wake-up may be missed (pub/sub promises nothing): the head is looked up at least so often. */
const LOOK_MS = 1_000
/** A timer beyond 2^31 ms fires at once; one beyond the next few looks is of no use. */
const LONGEST_TIMER_MS = 60_000

export interface PromotionTimerDeps {
  readonly queues: readonly string[]
  readonly connection: () => NamespaceConnection | undefined
  readonly onSuccess: () => void
}

/**
 * Moves delayed jobs into the streams when they are due. Every worker has such a timer set to the head of the delayed set; there is no
 * leader, since promotion is one atomic script and the second to come finds nothing.
 */
export class PromotionTimer {
  readonly #queues: Map<string, QueueTimer>
  #signal: AbortSignal | undefined

  constructor(deps: PromotionTimerDeps) {
    this.#queues = new Map(deps.queues.map((queue) => [queue, new QueueTimer(queue, deps)]))
  }

  start(signal: AbortSignal): void {
    this.#signal = signal
    signal.addEventListener('abort', () => {
      for (const timer of this.#queues.values()) timer.stop()
    })
    void this.#lookRegularly(signal)
  }

  /** A message of the wake channel: "<queue> <instant ms>". */
  wake(message: string): void {
    const space = message.lastIndexOf(' ')
    const dueMs = Number(message.slice(space + 1))
    if (Number.isFinite(dueMs)) this.#queues.get(message.slice(0, space))?.wake(dueMs)
  }

  lookNow(): void {
    if (this.#signal?.aborted) return
    for (const timer of this.#queues.values()) timer.look()
  }

  async #lookRegularly(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.lookNow()
      await systemClock.wait(LOOK_MS * (0.9 + Math.random() * 0.2), signal)
    }
  }
}

class QueueTimer {
  readonly #queue: string
  readonly #deps: PromotionTimerDeps
  #timer: NodeJS.Timeout | undefined
  #wakeAtMs = Number.POSITIVE_INFINITY
  #isPromoting = false
  /** A wake-up fell into a promotion under way. */
  #isCalledAgain = false
  #isStopped = false
  /** Server's clock minus this process's wall clock, from the latest answer. */
  #serverOffsetMs = 0

  constructor(queue: string, deps: PromotionTimerDeps) {
    this.#queue = queue
    this.#deps = deps
  }

  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#timer)
  }

  wake(dueServerMs: number): void {
    this.#set(dueServerMs - this.#serverOffsetMs)
  }

  look(): void {
    this.#set(Date.now())
  }

  #set(wallMs: number): void {
    if (this.#isStopped || wallMs >= this.#wakeAtMs) return
    this.#wakeAtMs = wallMs
    clearTimeout(this.#timer)
    // Timers fire up to a millisecond early; a look too early costs another.
    const afterMs = Math.max(0, Math.ceil(wallMs - Date.now()) + Math.random())
    this.#timer = setTimeout(() => void this.#fire(), Math.min(afterMs, LONGEST_TIMER_MS))
  }

  async #fire(): Promise<void> {
    this.#wakeAtMs = Number.POSITIVE_INFINITY
    const open = this.#deps.connection()
    if (this.#isPromoting) this.#isCalledAgain = true
    if (this.#isPromoting || !open) return
    this.#isPromoting = true
    let again: number | undefined
    try {
      const header = JSON.stringify({ q: this.#queue, limit: BATCH })
      const [moved, next, now] = await open.connection.run<[number, string, string]>(
        loadScripts().promote,
        open.prefix,
        [header],
      )
      this.#serverOffsetMs = Number(now) - Date.now()
      this.#deps.onSuccess()
      if (moved === BATCH) again = Date.now() + PAUSE_MS
      else if (next !== '') again = Number(next) - this.#serverOffsetMs
    } catch (error) {
      // The connection broke or the server refuses for now: the regular look tries again, and the link has logged the reason.
      if (mustReopen(error)) open.destroy()
    } finally {
      this.#isPromoting = false
    }
    // What fell due meanwhile may have come after the script ran.
    if (this.#isCalledAgain) again = Date.now()
    this.#isCalledAgain = false
    if (again !== undefined) this.#set(Math.max(again, Date.now() + (again < Date.now() ? PAUSE_MS : 0)))
  }
}
