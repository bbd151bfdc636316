import type { Clock } from '../../clock.ts'
import type { Logger } from '../../logger.ts'
import { RepeatedWarning } from '../../service/repeated-warning.ts'
import type { Attempt } from './attempt.ts'
import type { OutcomeLetter } from '../history.ts'
import { HistoryWriter, sectionText } from './history-writer.ts'
import { keepCompletedMsOf } from '../job-overrides.ts'
import type { Lane } from './lane.ts'
import type { LeaseTable } from './lease-table.ts'
import { mustReopen } from '../namespace.ts'
import type { Outcome } from './outcome.ts'
import { loadScripts } from '../scripts.ts'
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

/** What settle.lua answers. */
type Reply = readonly [stale: readonly string[], failed: readonly string[], unwrittenHistory: string]

/**
 * Reports outcomes, many in one script. While an answer is under way, outcomes gather: the busier, the larger the batches. What is not
 * answered because the connection broke, or could not be applied, is sent again; the server knows by the entry whether it was applied.
 */
export class Settler {
  readonly #deps: SettlerDeps
  readonly #queues: Map<Lane, QueueReports>
  readonly #refusals: RepeatedWarning
  readonly #unwritten: RepeatedWarning
  #isFlushScheduled = false

  constructor(deps: SettlerDeps) {
    this.#deps = deps
    this.#refusals = new RepeatedWarning(deps.log, deps.clock)
    this.#unwritten = new RepeatedWarning(deps.log, deps.clock)
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
    for (const { waiting, sending, refused } of this.#queues.values()) sum += waiting.length + sending + refused.length
    return sum
  }

  /** Drops outcomes of attempts that the server forgot; they are not reported to anybody. */
  forget(isForgotten: (attempt: Attempt) => boolean): Attempt[] {
    const forgotten: Attempt[] = []
    for (const reports of this.#queues.values()) {
      forgotten.push(...reports.waiting.filter(isForgotten), ...reports.refused.filter(isForgotten))
      reports.waiting = reports.waiting.filter((attempt) => !isForgotten(attempt))
      reports.refused = reports.refused.filter((attempt) => !isForgotten(attempt))
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
    let reply: Reply | undefined
    try {
      const args = this.#encode(reports, batch, session.bootId)
      reply = await session.work.connection.run<Reply>(loadScripts().settle, session.work.prefix, args)
    } catch (error) {
      for (const attempt of batch) attempt.isResent = true
      if (mustReopen(error)) session.destroy()
      const { message } = error as Error
      // A server that refuses without a broken connection (out of disk, read-only) is asked again, not at once.
      if (session.work.connection.isOpen) this.#refuse(reports, batch, message)
      else {
        reports.waiting = [...batch, ...reports.waiting]
        const facts = { outcomes: batch.length, reason: message }
        this.#deps.log.warn(facts, 'Outcomes were not confirmed; sending them again')
      }
    }
    reports.isSending = false
    reports.sending = 0
    if (reply) this.#confirmed(reports, batch, reply)
    if (reports.waiting.length > 0) void this.#send(reports)
  }

  /** What the server did not apply is sent again a little later; other outcomes do not wait for it. */
  #refuse(reports: QueueReports, attempts: readonly Attempt[], reason: string): void {
    const facts = { queue: reports.lane.queue, outcomes: attempts.length }
    this.#refusals.failed(reason, 'Redis refused outcomes; sending them again', facts)
    for (const attempt of attempts) attempt.isResent = true
    reports.refused.push(...attempts)
    if (reports.isWaiting) return
    reports.isWaiting = true
    void this.#deps.clock.wait(REFUSED_WAIT_MS).then(() => {
      reports.isWaiting = false
      reports.waiting.push(...reports.refused.splice(0))
      return this.#send(reports)
    })
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

  #confirmed(reports: QueueReports, batch: readonly Attempt[], [stale, failed, unwritten]: Reply): void {
    const refused = stale.length > 0 ? new Set(stale) : undefined
    const undone = failed.length > 0 ? new Set(failed.filter((_, index) => index % 2 === 0)) : undefined
    const again: Attempt[] = []
    for (const attempt of batch) {
      const name = refused || undone ? `${attempt.letter}:${attempt.entry}` : ''
      const isStale = refused?.has(name)
      if (!isStale && undone?.has(name)) {
        again.push(attempt)
        continue
      }
      this.#deps.table.release(attempt.slot)
      if (!isStale) this.#deps.onSettled(attempt, attempt.outcome as Outcome)
      else if (!attempt.isResent) this.#deps.onStale(attempt)
    }
    if (again.length > 0) this.#refuse(reports, again, failed[1] ?? '')
    else if (reports.refused.length === 0) this.#refusals.works('Redis takes all outcomes again')
    if (unwritten !== '') this.#unwritten.failed(unwritten, 'The history of ended jobs could not be written')
  }
}

class QueueReports {
  readonly lane: Lane
  waiting: Attempt[] = []
  isSending = false
  sending = 0
  /** Not applied by the server; sent again when a wait has passed. */
  refused: Attempt[] = []
  isWaiting = false
  #perBatch = 1

  constructor(lane: Lane) {
    this.lane = lane
  }

  take(): Attempt[] {
    const batch = this.waiting.slice(0, BATCH)
    this.waiting = this.waiting.slice(BATCH)
    return batch
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
