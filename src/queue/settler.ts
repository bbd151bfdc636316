import type { Clock } from '../clock.ts'
import type { Logger } from '../logger.ts'
import { type Attempt, attemptNumber } from './attempt.ts'
import { historyLine } from './history.ts'
import { keepCompletedMsOf } from './job-overrides.ts'
import type { StreamLetter } from './keys.ts'
import type { Lane } from './lane.ts'
import type { LeaseTable } from './lease-table.ts'
import { mustReopen } from './namespace.ts'
import type { Outcome } from './outcome.ts'
import { loadScripts } from './scripts.ts'
import type { WorkerSession } from './worker-session.ts'

/** At most so many outcomes in one script. */
const BATCH = 1_000
const REFUSED_WAIT_MS = 200

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

interface Report {
  readonly attempt: Attempt
  readonly outcome: Outcome
  readonly history: string
}

/** Attempts that completed and need nothing but the deletion of their entry (and of the note where they stand). */
interface PlainList {
  readonly letter: StreamLetter
  readonly hasIds: boolean
  readonly reports: Report[]
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
    reports.waiting.push({ attempt, outcome, history: this.#historyOf(attempt, outcome, endedAtMs) })
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
      forgotten.push(...reports.waiting.map(({ attempt }) => attempt).filter(isForgotten))
      reports.waiting = reports.waiting.filter(({ attempt }) => !isForgotten(attempt))
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
      for (const { attempt } of batch) attempt.isResent = true
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

  #encode(reports: QueueReports, batch: readonly Report[], bootId: string): string[] {
    const lists = new Map<string, PlainList>()
    const others: string[] = []
    const lines: string[] = []
    for (const report of batch) {
      const { attempt, outcome, history } = report
      if (history !== '') lines.push(history)
      if (isPlain(report, bootId)) plainList(lists, attempt).reports.push(report)
      else others.push(JSON.stringify({ s: attempt.letter, e: attempt.entry, i: attempt.place, ...outcome }))
    }
    const { history } = this.#deps
    const header = {
      q: reports.lane.queue,
      w: this.#deps.workerId,
      lists: [...lists.values()].map(({ letter, hasIds, reports: { length } }) => [letter, length, hasIds]),
      m: others.length,
      h: lines.length > 0 ? lines.join('\n') : undefined,
      hn: reports.historyEntries(lines.length, history.entries),
      ha: history.ageMs,
    }
    const args = [JSON.stringify(header)]
    for (const list of lists.values()) {
      for (const { attempt } of list.reports) args.push(attempt.entry)
      if (list.hasIds) for (const { attempt } of list.reports) args.push(attempt.place)
    }
    for (const other of others) args.push(other)
    return args
  }

  #confirmed(batch: readonly Report[], stale: readonly string[]): void {
    const refused = stale.length > 0 ? new Set(stale) : undefined
    for (const { attempt, outcome } of batch) {
      this.#deps.table.release(attempt.slot)
      if (refused?.has(`${attempt.letter}:${attempt.entry}`)) {
        if (!attempt.isResent) this.#deps.onStale(attempt)
      } else this.#deps.onSettled(attempt, outcome)
    }
  }

  #historyOf(attempt: Attempt, outcome: Outcome, endedAtMs: number): string {
    const letter =
      outcome.r === 'completed' ? 'c' : outcome.r === 'cancelled' ? 'x' : outcome.r === 'expired' ? 'e' : undefined
    const keepMs = keepCompletedMsOf(attempt.options, attempt.handler?.job.keepCompletedMs ?? 0)
    if (letter === undefined || keepMs === 0 || this.#deps.history.entries === 0) return ''
    const tookMs = Math.round(endedAtMs - attempt.startedAtMs)
    const startedAt = Math.round(this.#deps.serverNow()) - tookMs
    return historyLine(
      attempt.place,
      `${attempt.letter}:${attempt.entry}`,
      attempt.type,
      letter,
      attemptNumber(attempt),
      startedAt,
      tookMs,
      keepMs,
    )
  }
}

class QueueReports {
  readonly lane: Lane
  waiting: Report[] = []
  isSending = false
  sending = 0
  #perBatch = 1
  #limit = BATCH

  constructor(lane: Lane) {
    this.lane = lane
  }

  take(): Report[] {
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
  putBack(batch: readonly Report[], isRefused: boolean): void {
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

function isPlain({ attempt, outcome }: Report, bootId: string): boolean {
  const { options } = attempt
  // Begun in an older life of the server, or sent before: only the script's check of the owner tells what is true now.
  return (
    outcome.r === 'completed' &&
    options.k === undefined &&
    options.p === undefined &&
    attempt.bootId === bootId &&
    !attempt.isResent
  )
}

function plainList(lists: Map<string, PlainList>, { letter, place, entry }: Attempt): PlainList {
  const hasIds = place !== entry
  const name = hasIds ? `${letter} ` : letter
  let list = lists.get(name)
  if (!list) {
    list = { letter, hasIds, reports: [] }
    lists.set(name, list)
  }
  return list
}
