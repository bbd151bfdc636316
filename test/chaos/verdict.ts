import type { JournalEntry } from './journal.ts'
import type { LedgerLine } from './ledger.ts'

// Pure: the promise of the queue, checked against what producers were told, what handlers wrote down, what was done to the
// processes, and what Redis holds in the end. Imports nothing of Moca.

/** What happened to one worker process. Instants are monotonic microseconds. */
export interface Fate {
  readonly pid: number
  /** Undefined: it lives. */
  readonly diedUs: number | undefined
  /** It was told to stop (SIGTERM): from then on it hands back what it cannot finish. */
  readonly stopUs: number | undefined
  /** It was told to stop a second time, and ended at once: what it had not reported is as after a death. */
  readonly wasCutShort: boolean
  /** It ended by itself. */
  readonly hasCrashed: boolean
  /** It stood still (SIGSTOP): its leases may have ended meanwhile. */
  readonly away: readonly { readonly fromUs: number; readonly toUs: number }[]
}

/** Redis came back without what happened between these instants. */
export interface Forgetting {
  readonly sinceUs: number
  readonly untilUs: number
}

export interface DeadLetter {
  readonly id: string
  readonly reason: string
}

/** What a raw look at Redis found when nothing was left to do. */
export interface RawEnd {
  /** Jobs in any place that are not dead letters, by id. */
  readonly left: readonly string[]
  readonly dead: readonly DeadLetter[]
  /** Contradictions in the layout, e.g. a job in two places. */
  readonly findings: readonly string[]
  /** accepted, completed, cancelled, expired, purged, as Moca counted. */
  readonly counters: Readonly<Record<string, number>>
  /** Jobs that Moca said were lost. */
  readonly reportedLost: number
}

export interface Evidence {
  readonly journal: readonly JournalEntry[]
  readonly ledger: readonly LedgerLine[]
  readonly fates: readonly Fate[]
  readonly forgettings: readonly Forgetting[]
  /** Workers that were alive and reachable and began nothing, though there was work: a sentence each. */
  readonly standstills: readonly string[]
  readonly raw: RawEnd
  readonly leaseUs: number
}

export interface Counts {
  accepted: number
  /** Calls without an answer whose job was not seen anywhere: not accepted, as far as anybody can know. */
  unanswered: number
  succeeded: number
  dead: number
  /** Accepted, never succeeded, and in no place of Redis. */
  lost: number
  /** The same, but Redis itself came back without them. */
  forgotten: number
  attempts: number
  /** Attempts after one that its worker could not finish or report: it died, stood still, or was told to stop; or Redis forgot. */
  rerunAfterDeath: number
  rerunAfterAbsence: number
  rerunAfterStop: number
  rerunAfterForgetting: number
  /** Attempts that began while an earlier one was in the hands of a worker that lived all the time. Must be 0. */
  runTwice: number
  /** Jobs that began before an earlier one of their key was done. Must be 0. */
  outOfOrder: number
  /** Attempts whose fence was not above that of every attempt of the job and key before. Must be 0. */
  fenceBackwards: number
  /** Attempts counted as charged though none had failed. Must be 0. */
  overcharged: number
  /** Attempts of jobs in whose midst two workers had died that ran beside another of their process. Must be 0. */
  notAlone: number
  /** Dead letters for another reason than they were made for. Must be 0. */
  wronglyDead: number
  /** Workers that did not go on by themselves after a fault. Must be 0. */
  stoodStill: number
  /** Worker processes that ended by themselves. Must be 0. */
  crashed: number
  /** Jobs that were to die and did not; jobs left; unknown runs; contradictions in Redis. Must be 0. */
  inconsistent: number
}

export interface Verdict {
  readonly counts: Counts
  /** One sentence per broken promise, at most 50. Empty = all held. */
  readonly problems: readonly string[]
}

interface Run {
  readonly name: string
  readonly id: string
  readonly pid: number
  readonly fence: bigint
  readonly attempt: number
  readonly startUs: number
  endUs: number | undefined
  outcome: LedgerLine['outcome']
}

/** A settlement follows the end of a handler within this time, or it was lost with its worker or with Redis. */
const SETTLE_US = 1_000_000
const REASON = { succeeds: undefined, fails: 'attempts used up', kills: 'stalled' } as const

export function judge(evidence: Evidence): Verdict {
  const judgement = new Judgement(evidence)
  judgement.jobs()
  judgement.runs()
  judgement.keys()
  judgement.suspects()
  judgement.processes()
  judgement.redis()
  return judgement.verdict()
}

class Judgement {
  readonly #evidence: Evidence
  readonly #counts: Counts = {
    accepted: 0,
    unanswered: 0,
    succeeded: 0,
    dead: 0,
    lost: 0,
    forgotten: 0,
    attempts: 0,
    rerunAfterDeath: 0,
    rerunAfterAbsence: 0,
    rerunAfterStop: 0,
    rerunAfterForgetting: 0,
    runTwice: 0,
    outOfOrder: 0,
    fenceBackwards: 0,
    overcharged: 0,
    notAlone: 0,
    wronglyDead: 0,
    stoodStill: 0,
    crashed: 0,
    inconsistent: 0,
  }
  readonly #problems: string[] = []
  readonly #runs: Run[]
  readonly #runsOf: Map<string, Run[]>
  readonly #runsByName: Map<string, Run[]>
  readonly #fates: Map<number, Fate>
  readonly #dead: Map<string, string>

  constructor(evidence: Evidence) {
    this.#evidence = evidence
    this.#runs = pairLines(evidence.ledger)
    this.#runsOf = Map.groupBy(this.#runs, ({ id }) => id)
    this.#runsByName = Map.groupBy(this.#runs, ({ name }) => name)
    this.#fates = new Map(evidence.fates.map((fate) => [fate.pid, fate]))
    this.#dead = new Map(evidence.raw.dead.map(({ id, reason }) => [id, reason]))
  }

  verdict(): Verdict {
    return { counts: this.#counts, problems: this.#problems.slice(0, 50) }
  }

  /** Every accepted job ended as it was meant to. */
  jobs(): void {
    const { journal, raw } = this.#evidence
    const left = new Set(raw.left)
    const names = new Set<string>()
    for (const entry of journal) {
      names.add(entry.name)
      this.#oneId(entry)
      const runs = entry.id === undefined ? [] : (this.#runsOf.get(entry.id) ?? [])
      const hasSucceeded = runs.some(({ outcome }) => outcome === 'succeeded')
      const reason = entry.id === undefined ? undefined : this.#dead.get(entry.id)
      if (entry.id === undefined) this.#counts.unanswered++
      else this.#counts.accepted++
      if (hasSucceeded) this.#counts.succeeded++
      if (reason !== undefined) this.#counts.dead++
      if (entry.id === undefined || left.has(entry.id)) continue
      if (reason === undefined && !hasSucceeded) this.#missing(entry)
      else this.#ending(entry, reason)
    }
    this.#break('inconsistent', raw.left.length, `${raw.left.length} jobs are left: ${raw.left.slice(0, 5).join(' ')}`)
    const strange = this.#runs.find(({ name }) => !names.has(name))
    if (strange) this.#break('inconsistent', 1, `job ${strange.id} (${strange.name}) ran; nobody had enqueued it`)
    this.#deadOfNobody()
  }

  #deadOfNobody(): void {
    const known = new Set([...this.#evidence.journal.map(({ id }) => id), ...this.#runsOf.keys()])
    const strange = [...this.#dead.keys()].filter((id) => !known.has(id))
    this.#break('inconsistent', strange.length, `nobody had enqueued the dead letters ${strange.slice(0, 5).join(' ')}`)
  }

  /** A call that was repeated under its idempotency key made one job. */
  #oneId({ name, id }: JournalEntry): void {
    const ids = new Set(this.#runsByName.get(name)?.map((run) => run.id))
    if (id !== undefined) ids.add(id)
    if (ids.size > 1 && this.#evidence.forgettings.length === 0)
      this.#break('inconsistent', 1, `job ${name} was accepted twice: ${[...ids].join(' ')}`)
  }

  #missing(entry: JournalEntry): void {
    if (this.#isForgotten(entry, Number.POSITIVE_INFINITY)) this.#counts.forgotten++
    else this.#break('lost', 1, `job ${entry.id} (${entry.name}) is lost`)
  }

  #ending(entry: JournalEntry, reason: string | undefined): void {
    const expected = REASON[entry.expects]
    if (reason === expected) return
    if (reason === undefined) {
      this.#break('inconsistent', 1, `job ${entry.id} (${entry.name}) succeeded; it should have died: ${expected}`)
    } else this.#break('wronglyDead', 1, `job ${entry.id} (${entry.name}) died: ${reason}`)
  }

  /** No job was run twice by living workers. */
  runs(): void {
    this.#counts.attempts = this.#runs.length
    for (const runs of this.#runsOf.values()) {
      let failures = 0
      let highest = -1n
      for (const [index, run] of runs.entries()) {
        if (index > 0) this.#again(runs.slice(0, index), run)
        if (run.attempt > failures + 1) {
          const text = `job ${run.id} began attempt ${run.attempt} after ${failures} failures`
          this.#break('overcharged', 1, text)
        }
        failures = runs.slice(0, index + 1).filter(({ outcome }) => outcome === 'failed').length
        if (run.fence <= highest) this.#break('fenceBackwards', 1, `job ${run.id}: fence ${run.fence} after ${highest}`)
        if (run.fence > highest) highest = run.fence
      }
    }
  }

  /** `run` began after others of its job: each of these must have been over, by its own word or by that of fate. */
  #again(earlier: readonly Run[], run: Run): void {
    let why: keyof Counts | undefined
    for (const before of earlier) {
      if (before.endUs !== undefined && before.endUs <= run.startUs && before.outcome !== 'succeeded') continue
      const excuse = this.#excuse(before, run)
      if (!excuse) {
        const state =
          before.endUs !== undefined && before.endUs <= run.startUs ? 'had succeeded' : 'had begun and not ended'
        const text = `job ${run.id} (${run.name}) began in ${run.pid} at ${run.startUs}${this.#waking(run)}; attempt ${before.fence} in ${before.pid} ${state}`
        this.#break('runTwice', 1, text)
        return
      }
      why ??= excuse
    }
    if (why) this.#counts[why]++
  }

  /** For the reader of a problem: whether the process had just woken, and what it did since. */
  #waking({ pid, startUs }: Run): string {
    const awake = this.#fates.get(pid)?.away.findLast(({ toUs }) => toUs <= startUs)
    if (!awake) return ''
    const since = this.#evidence.ledger.filter((line) => line.pid === pid && line.us > awake.toUs && line.us < startUs)
    return ` (${startUs - awake.toUs} us after it woke, ${since.length} lines since)`
  }

  #excuse(before: Run, run: Run): keyof Counts | undefined {
    const { forgettings, leaseUs } = this.#evidence
    const fate = this.#fates.get(before.pid)
    if (fate?.diedUs !== undefined && fate.diedUs <= run.startUs) {
      // A worker that was stopped in an orderly way reported what had succeeded, and every other what had long before.
      const isOrderly = fate.stopUs !== undefined && !fate.wasCutShort
      const canBeUnreported = !isOrderly && (before.endUs ?? fate.diedUs) >= fate.diedUs - SETTLE_US
      if (before.outcome !== 'succeeded' || canBeUnreported) return 'rerunAfterDeath'
    }
    const away = (fate?.away ?? []).map(
      ({ fromUs, toUs }) => Math.min(toUs, run.startUs) - Math.max(fromUs, before.startUs),
    )
    // The last renewal may be a third of a lease older than the absence.
    if (away.some((us) => us >= leaseUs / 2)) return 'rerunAfterAbsence'
    const hadEnded = before.endUs !== undefined && before.endUs <= run.startUs
    if (fate?.stopUs !== undefined && fate.stopUs <= run.startUs && !hadEnded) return 'rerunAfterStop'
    // Of one that had not ended, the delivery was forgotten: it came before the start.
    const wasForgotten = forgettings.some(
      ({ sinceUs, untilUs }) =>
        untilUs <= run.startUs &&
        (hadEnded ? (before.endUs as number) >= sinceUs - SETTLE_US : before.startUs >= sinceUs),
    )
    return wasForgotten ? 'rerunAfterForgetting' : undefined
  }

  /** Jobs of a key run one after another, in their order. */
  keys(): void {
    const { journal } = this.#evidence
    const keyed = journal.filter(({ key, id }) => key !== undefined && id !== undefined)
    for (const entries of Map.groupBy(keyed, ({ queue, key }) => `${queue} ${key}`).values()) {
      this.#order(entries.toSorted((a, b) => a.position - b.position))
      this.#fences(entries)
    }
  }

  #order(entries: readonly JournalEntry[]): void {
    const done: { readonly entry: JournalEntry; readonly doneUs: number }[] = []
    for (const entry of entries) {
      const runs = this.#runsOf.get(entry.id as string) ?? []
      const first = runs[0]
      if (!first) continue
      const isLate = (before: (typeof done)[number]) =>
        first.startUs < before.doneUs && !this.#isForgotten(before.entry, first.startUs)
      const late = done.find(isLate)
      if (late) this.#break('outOfOrder', 1, `job ${entry.name} began before ${late.entry.name} of its key was done`)
      // A worker that stood still may report a success late, of an attempt that counts for nothing by then.
      const successes = runs.flatMap(({ outcome, endUs }) =>
        outcome === 'succeeded' && endUs !== undefined ? [endUs] : [],
      )
      const doneUs = successes.length > 0 ? Math.min(...successes) : (runs.at(-1)?.endUs ?? first.startUs)
      done.push({ entry, doneUs })
    }
  }

  /** Redis forgot that this job was accepted, and came back before this instant: its key is free. */
  #isForgotten({ fromUs, toUs }: JournalEntry, beforeUs: number): boolean {
    return this.#evidence.forgettings.some(
      ({ sinceUs, untilUs }) => fromUs <= untilUs && (toUs ?? 0) >= sinceUs && untilUs <= beforeUs,
    )
  }

  #fences(entries: readonly JournalEntry[]): void {
    const runs = entries
      .flatMap(({ id }) => this.#runsOf.get(id as string) ?? [])
      .toSorted((a, b) => a.startUs - b.startUs)
    for (const [index, run] of runs.entries()) {
      const before = runs[index - 1]
      // Within one job it has been counted already.
      if (before && before.id !== run.id && run.fence <= before.fence)
        this.#break('fenceBackwards', 1, `job ${run.name}: fence ${run.fence} after ${before.fence} of its key`)
    }
  }

  /** A job in whose midst two workers have died may be what kills them: from then on nothing runs beside it. */
  suspects(): void {
    const runsIn = Map.groupBy(this.#runs, ({ pid }) => pid)
    for (const runs of this.#runsOf.values()) {
      for (const [index, run] of runs.entries()) {
        const deaths = runs
          .slice(0, index)
          .filter(({ pid, endUs }) => endUs === undefined && this.#diedUs(pid) <= run.startUs)
        if (deaths.length < 2) continue
        const isBeside = (other: Run) =>
          other !== run && other.startUs < this.#end(run) && this.#end(other) > run.startUs
        const beside = runsIn.get(run.pid)?.find(isBeside)
        if (!beside) continue
        this.#break(
          'notAlone',
          1,
          `job ${run.name}, after ${deaths.length} deaths, ran beside ${beside.name} in ${run.pid}`,
        )
      }
    }
  }

  /** No process ended by itself, and all went on working. */
  processes(): void {
    for (const { pid, hasCrashed } of this.#evidence.fates)
      if (hasCrashed) this.#break('crashed', 1, `worker ${pid} ended by itself`)
    for (const standstill of this.#evidence.standstills) this.#break('stoodStill', 1, standstill)
  }

  #diedUs(pid: number): number {
    return this.#fates.get(pid)?.diedUs ?? Number.POSITIVE_INFINITY
  }

  #end(run: Run): number {
    return run.endUs ?? this.#diedUs(run.pid)
  }

  /** What is in Redis agrees with itself. */
  redis(): void {
    const { findings, counters, left, dead } = this.#evidence.raw
    for (const finding of findings) this.#break('inconsistent', 1, finding)
    const { accepted = 0, completed = 0, cancelled = 0, expired = 0, purged = 0 } = counters
    const places = left.length + dead.length + completed + cancelled + expired + purged
    if (accepted !== places)
      this.#break('inconsistent', 1, `Redis counts ${accepted} accepted jobs, and ${places} in all places together`)
  }

  #break(count: keyof Counts, by: number, problem: string): void {
    if (by === 0) return
    this.#counts[count] += by
    this.#problems.push(problem)
  }
}

/** Runs in the order of their starts. */
function pairLines(ledger: readonly LedgerLine[]): Run[] {
  const runs = new Map<string, Run>()
  for (const line of ledger) {
    if (line.kind !== 'start') continue
    const { name, id, pid, attempt, us } = line
    const fence = BigInt(line.fence)
    runs.set(`${pid} ${line.run}`, { name, id, pid, fence, attempt, startUs: us, endUs: undefined, outcome: undefined })
  }
  for (const line of ledger) {
    const run = runs.get(`${line.pid} ${line.run}`)
    if (line.kind !== 'end' || !run) continue
    run.endUs = line.us
    run.outcome = line.outcome
  }
  return [...runs.values()].toSorted((a, b) => a.startUs - b.startUs)
}
