import type { Expectation, ReportContent } from '../cities.ts'
import type { JournalLine } from '../journal.ts'
import type { LedgerLine } from '../ledger.ts'
import type { Finding, FoundJob, Place, RawWalk } from '../raw-walk.ts'
import { type AcceptedJob, acceptedJobs } from './accepted-jobs.ts'
import { type IndirectJobs, indirectJobs, isIndirect } from './indirect-jobs.ts'
import type { FireEvidence } from './judge-fires.ts'
import type { RecordedEvidence } from './recorded-account.ts'

export interface Kill {
  readonly process: string
  readonly signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'
  readonly atSeconds: number
  /** What it was doing beside what its name says: the search index was its, or the lead of the schedulers. */
  readonly as?: 'indexing' | 'leading'
}

/** Redis was put back to an older state on purpose. */
export interface Rewind {
  /** The older state was taken at this instant, while Redis stood still. */
  readonly frozenAtUs: number
  /** From this instant on Redis ran from the older state. */
  readonly restartedAtUs: number
  /** What the older state held. */
  readonly walk: RawWalk
}

/** What the account is made from. Its sides come from different sources, so that no mistake is on both. */
export interface Evidence {
  /** From the source data: what there must be. */
  readonly expectation: Expectation
  /** From the producers. */
  readonly journal: readonly JournalLine[]
  /** From the handlers. */
  readonly ledger: readonly LedgerLine[]
  /** From Redis, by plain commands. */
  readonly walk: RawWalk
  /** From Moca: `moca.queue.counts()`. */
  readonly counts: Readonly<Record<string, Readonly<Record<Place, number>>>>
  /** From the outside system that handlers wrote to. */
  readonly reports: ReadonlyMap<string, ReportContent>
  readonly kills: readonly Kill[]
  /** Process that was stopped past its lease and then continued. */
  readonly stoppedPid: number | undefined
  readonly redisRestarts: number
  readonly rewind?: Rewind | undefined
  /** Where something was written to PostgreSQL, and recorded with it. */
  readonly recorded?: Omit<RecordedEvidence, 'walk'>
  /** Where there were schedules. */
  readonly fires?: FireEvidence
  /** From Moca, while everything ran: what `moca verify` found. */
  readonly verified?: readonly Finding[]
  /** What the demo had planned to do and could not. */
  readonly failures: readonly string[]
  readonly seconds: number
}

/** The evidence by job. What came by the log is judged apart (recorded-account.ts). */
export interface Facts {
  readonly jobs: ReadonlyMap<string, AcceptedJob>
  readonly refused: ReadonlySet<string>
  /** Lines for jobs that no producer ever planned. */
  readonly unplanned: readonly LedgerLine[]
  /** Id -> lines of that outcome in the ledgers. */
  readonly successes: ReadonlyMap<string, number>
  readonly failures: ReadonlyMap<string, number>
  readonly places: ReadonlyMap<string, FoundJob>
  /** By queue, what came by the log and of schedules: it is in Moca's counters, too. */
  readonly indirect: ReadonlyMap<string, IndirectJobs>
  /** Ids that Redis had accepted and, put back to an older state, did not know any more. */
  readonly forgotten: ReadonlySet<string>
  /** Jobs in the journals that Redis does not count as accepted. */
  readonly lostByRedis: number
}

export function gatherFacts(evidence: Evidence): Facts {
  const { journal, ledger, walk } = evidence
  const { jobs, refused, unplanned } = acceptedJobs(journal, ledger)
  const indirect = indirectJobs([...(evidence.recorded?.ledger ?? []), ...(evidence.fires?.ledger ?? [])], walk.jobs)
  const all = jobs.size + indirect.values().reduce((sum, { accepted }) => sum + accepted, 0)
  return {
    jobs,
    refused,
    unplanned,
    successes: countLines(ledger, 'succeeded'),
    failures: countLines(ledger, 'failed'),
    places: new Map(walk.jobs.filter((job) => !isIndirect(job)).map((job) => [job.id, job])),
    indirect,
    forgotten: forgottenJobs(evidence, jobs),
    lostByRedis: Math.max(0, all - acceptedByRedis(walk)),
  }
}

export function acceptedByRedis(walk: RawWalk): number {
  return walk.queues.reduce((sum, queue) => sum + (queue.counters['accepted'] ?? 0), 0)
}

/** The older state knew a job if it held it, or if the job was done by then (a handler writes before Moca hears of the outcome). */
function forgottenJobs({ rewind, ledger }: Evidence, jobs: ReadonlyMap<string, AcceptedJob>): Set<string> {
  if (!rewind) return new Set()
  const known = new Set(rewind.walk.jobs.map(({ id }) => id))
  for (const line of ledger) if (line.outcome === 'succeeded' && line.us < rewind.frozenAtUs) known.add(line.id)
  const ofOldLife = [...jobs.values()].filter(({ toUs }) => toUs < rewind.restartedAtUs)
  return new Set(ofOldLife.map(({ id }) => id).filter((id) => !known.has(id)))
}

function countLines(ledger: readonly LedgerLine[], outcome: LedgerLine['outcome']): Map<string, number> {
  const counts = new Map<string, number>()
  for (const line of ledger) if (line.outcome === outcome) counts.set(line.id, (counts.get(line.id) ?? 0) + 1)
  return counts
}
