import type { Clock } from '../clock.ts'
import type { Logger } from '../logger.ts'
import type { Attempt } from './attempt.ts'
import type { OutcomeLetter } from './history.ts'
import { HistoryWriter, sectionText } from './history-writer.ts'
import { keepCompletedMsOf } from './job-overrides.ts'
import type { Lane } from './lane.ts'
import type { LeaseTable } from './lease-table.ts'
import { mustReopen } from './namespace.ts'
import type { Outcome } from './outcome.ts'
import { loadScripts } from './scripts.ts'
import type { WorkerSession } from './worker-session.ts'

/** At most so many outcomes in one script. */
const BATCH = 1_000
const REFUSED_WAIT_MS = 200

const HISTORY_LETTERS: Partial<Record<Outcome['r'], OutcomeLetter>> = { completed: 'c', cancelled: 'x', expired: 'e' }

export interface SettlerDeps {
  readonly lanes: readonly Lane[]
  readonly table: LeaseTable
  readonly workerId: string
  readonly clock: Clock
  readonly log: Logger
  readonly session: () => WorkerSession | undefined
  readonly serverNow: () => number
  readonly history: { readonly entries: number; readonly ageMs: number }
  readonly onSettled: (attempt: Attempt, outcome: Outcome) => void
  /** The outcome was refused: the attempt had been taken over. */
  readonly onStale: (attempt: Attempt) => void
}

/**
 * Reports outcomes, many in one script. While an answer is under way, outcomes gather: the busier, the larger the batches. What is not
 * answered because the connection broke is sent again; the server knows by the entry whether it was applied.
 */
export class Settler {
  readonly #deps: SettlerDeps
  readonly #queues: Map<Lane, QueueReports>
  #isFlushScheduled = false

  constructor(deps: SettlerDeps) {
    this.#deps = deps
    this.#queues = new Map(deps.lanes.map((lane) => [lane, new QueueReports(lane)]))
  }

  settle(attempt: Attempt, outcome: Outcome, endedAtMs: number): void {
    const reports = this.#queues.get(attempt.lane) as QueueReports
    attempt.outcome = outcome
    attempt.endedAtMs = endedAtMs
    reports.waiting.push(attempt)
    if (!reports.isSending) this.#schedule()
  }

  /** Outcomes not yet confirmed by the server. */
  get unsettled(): number {
    let sum = 0
    for (const { waiting, sending } of this.#queues.values()) sum += waiting.length + sending
    return sum
  }

  /** Drops outcomes of attempts that the server forgot; they are not reported to anybody. */
  forget(isForgotten: (attempt: Attempt) => boolean): Attempt[] {
    const forgotten: Attempt[] = []
    for (const reports of this.#queues.values()) {
      forgotten.push(...reports.waiting.filter(isForgotten))
      reports.waiting = reports.waiting.filter((attempt) => !isForgotten(attempt))
    }
    for (const { slot } of forgotten) this.#deps.table.release(slot)
    return forgotten
  }

  /** Sends what gathered: call when a session begins. */
  flush(): void {
    for (const reports of this.#queues.values()) void this.#send(reports)
  }

  /** Resolves when every outcome is confirmed, or the signal aborts. */
  async drain(signal: AbortSignal): Promise<void> {
    while (this.unsettled > 0 && !signal.aborted) {
      this.flush()
      await this.#deps.clock.wait(5, signal)
    }
  }

  #schedule(): void {
    if (this.#isFlushScheduled) return
    this.#isFlushScheduled = true
    setImmediate(() => {
      this.#isFlushScheduled = false
      this.flush()
    })
  }

  async #send(reports: QueueReports): Promise<void> {
    const session = this.#deps.session()
    if (reports.isSending || reports.waiting.length === 0 || !session) return
    const batch = reports.take()
    reports.isSending = true
    reports.sending = batch.length
    let stale: string[] | undefined
    try {
      const args = this.#encode(reports, batch, session.bootId)
      stale = await session.work.connection.run<string[]>(loadScripts().settle, session.work.prefix, args)
    } catch (error) {
      this.#deps.log.warn(
        { outcomes: batch.length, reason: (error as Error).message },
        'Outcomes were not confirmed; sending them again',
      )
      for (const attempt of batch) attempt.isResent = true
      if (mustReopen(error)) session.destroy()
      const isRefused = session.work.connection.isOpen
      reports.putBack(batch, isRefused)
      // A server that refuses without a broken connection (out of disk, read-only) is asked again, not at once.
      if (isRefused) await this.#deps.clock.wait(REFUSED_WAIT_MS)
    }
    reports.isSending = false
    reports.sending = 0
    if (stale) {
      reports.grow()
      this.#confirmed(batch, stale)
    }
    if (reports.waiting.length > 0) void this.#send(reports)
  }

  #encode(reports: QueueReports, batch: readonly Attempt[], bootId: string): string[] {
    const { history, workerId, clock, serverNow } = this.#deps
    const offsetMs = serverNow() - clock.monotonicMs()
    const plain = new HistoryWriter(offsetMs)
    const ended = new HistoryWriter(offsetMs)
    const others: string[] = []
    let kept = 0
    for (const attempt of batch) {
      const outcome = attempt.outcome as Outcome
      const letter = HISTORY_LETTERS[outcome.r]
      const keepMs = history.entries === 0 ? 0 : keepMsOf(attempt)
      if (letter !== undefined && keepMs > 0) kept++
      if (isPlain(attempt, bootId)) plain.add(attempt, 'c', keepMs)
      else {
        others.push(encodeOther(attempt, outcome))
        if (letter !== undefined && keepMs > 0) ended.add(attempt, letter, keepMs)
      }
    }
    const header = {
      q: reports.lane.queue,
      w: workerId,
      lists: plain.sections.map(({ letter, hasPlaces, keepMs }) => [letter, hasPlaces, keepMs > 0]),
      m: others.length,
      h: ended.sections.length > 0 ? ended.sections.map(sectionText).join('\n') : undefined,
      hn: reports.historyEntries(kept, history.entries),
      ha: history.ageMs,
    }
    return [JSON.stringify(header), ...plain.sections.map(sectionText), ...others]
  }

  #confirmed(batch: readonly Attempt[], stale: readonly string[]): void {
    const refused = stale.length > 0 ? new Set(stale) : undefined
    for (const attempt of batch) {
      this.#deps.table.release(attempt.slot)
      if (refused?.has(`${attempt.letter}:${attempt.entry}`)) {
        if (!attempt.isResent) this.#deps.onStale(attempt)
      } else this.#deps.onSettled(attempt, attempt.outcome as Outcome)
    }
  }
}

class QueueReports {
  readonly lane: Lane
  waiting: Attempt[] = []
  isSending = false
  sending = 0
  #perBatch = 1
  #limit = BATCH

  constructor(lane: Lane) {
    this.lane = lane
  }

  take(): Attempt[] {
    const batch = this.waiting.slice(0, this.#limit)
    this.waiting = this.waiting.slice(this.#limit)
    return batch
  }

  grow(): void {
    this.#limit = Math.min(BATCH, this.#limit * 2)
  }

  /**
   * What was not confirmed is sent again. When the server refused, in halves, and a single one goes to the end: should one outcome be
   * what it refuses, the others get through.
   */
  putBack(batch: readonly Attempt[], isRefused: boolean): void {
    const isAlone = isRefused && batch.length === 1
    this.waiting = isAlone ? [...this.waiting, ...batch] : [...batch, ...this.waiting]
    if (isRefused) this.#limit = Math.max(1, Math.floor(batch.length / 2))
  }

  /** The history is bounded by jobs, its stream by entries: as many of the usual size as make up `jobs`. */
  historyEntries(lines: number, jobs: number): number {
    if (lines > 0) this.#perBatch += (lines - this.#perBatch) / 16
    return Math.max(1, Math.ceil(jobs / this.#perBatch))
  }
}

function isPlain({ options, outcome, bootId, isResent }: Attempt, currentBootId: string): boolean {
  // Begun in an older life of the server, or sent before: only the script's check of the owner tells what is true now.
  return (
    outcome?.r === 'completed' &&
    options.k === undefined &&
    options.p === undefined &&
    bootId === currentBootId &&
    !isResent
  )
}

function encodeOther({ letter, entry, place, isResent }: Attempt, outcome: Outcome): string {
  return JSON.stringify({ s: letter, e: entry, i: place, again: isResent || undefined, ...outcome })
}

function keepMsOf({ handler, options }: Attempt): number {
  return keepCompletedMsOf(options, handler?.job.keepCompletedMs ?? 0)
}
