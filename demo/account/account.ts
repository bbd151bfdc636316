import { type Evidence, gatherFacts, type Kill } from './evidence.ts'
import { judgeAcceptance } from './judge-acceptance.ts'
import { judgeCounters } from './judge-counters.ts'
import { judgeFires, type ScheduleTotals } from './judge-fires.ts'
import type { SearchTotals } from './judge-index.ts'
import { judgeJobs } from './judge-jobs.ts'
import { judgeKills } from './judge-kills.ts'
import { judgeLoss } from './judge-loss.ts'
import { judgeReports } from './judge-reports.ts'
import type { EventTotals } from './judge-deliveries.ts'
import type { DocumentTotals } from './judge-documents.ts'
import { type OutOfOrder, outOfOrder } from './order-of-keys.ts'
import type { Problem } from './problem.ts'
import { makeRecordedAccount } from './recorded-account.ts'

/** What became of every job. */
export interface Account {
  /** Nothing is wrong. */
  readonly ok: boolean
  readonly jobs: {
    readonly accepted: number
    readonly completed: number
    readonly dead: number
    /** Accepted, never done, and not in Redis. */
    readonly lost: number
    /** Done more than once: what at-least-once allows. */
    readonly rerun: number
    readonly outOfOrder: number
    /** Refused by a schema: never accepted. */
    readonly refused: number
  }
  /** Where something was written to PostgreSQL. */
  readonly documents?: DocumentTotals
  readonly events?: EventTotals
  readonly search?: SearchTotals
  /** Where there were schedules. */
  readonly schedules?: ScheduleTotals
  readonly kills: readonly Kill[]
  readonly redis: {
    readonly restarts: number
    readonly lostByRedis: number
    readonly reportedByMoca: number
    /** Rows of the log that Moca says it sent again. */
    readonly sentAgain?: number
  }
  readonly problems: readonly Problem[]
  readonly seconds: number
}

/** Does every job that a producer had accepted have exactly one end? Pure. */
export function makeAccount(evidence: Evidence): Account {
  const { expectation, ledger, walk } = evidence
  const facts = gatherFacts(evidence)
  const { jobs, successes, places } = facts
  const overtaken = outOfOrder(jobs.values(), ledger)
  const recorded = evidence.recorded && makeRecordedAccount({ ...evidence.recorded, walk })
  const fires = evidence.fires && judgeFires(evidence.fires)
  const problems: Problem[] = [
    ...judgeJobs(facts, expectation),
    ...overtaken.map(describe),
    ...judgeAcceptance(facts, expectation),
    ...walk.findings.map((finding): Problem => ({ kind: 'misplaced', ...finding })),
    ...judgeCounters(evidence, facts),
    ...judgeLoss(evidence, facts),
    ...judgeReports(evidence),
    ...judgeKills(evidence),
    ...(recorded?.problems ?? []),
    ...(fires?.problems ?? []),
    ...(evidence.verified ?? []).map((finding): Problem => ({ kind: 'verify', ...finding })),
  ]
  const count = (isCounted: (id: string) => boolean) => [...jobs.keys()].filter(isCounted).length
  return {
    ok: problems.length === 0,
    jobs: {
      accepted: jobs.size,
      completed: count((id) => successes.has(id) && !places.has(id)),
      dead: [...places.values()].filter(({ place }) => place === 'dead').length,
      lost: count((id) => !successes.has(id) && !places.has(id)),
      rerun: count((id) => (successes.get(id) ?? 0) > 1),
      outOfOrder: overtaken.length,
      refused: facts.refused.size,
    },
    ...(recorded && { documents: recorded.documents, events: recorded.events, search: recorded.search }),
    ...(fires && { schedules: fires.totals }),
    kills: evidence.kills,
    redis: {
      restarts: evidence.redisRestarts,
      lostByRedis: facts.lostByRedis,
      reportedByMoca: walk.reportedLost,
      ...(recorded && { sentAgain: recorded.sentAgain }),
    },
    problems,
    seconds: evidence.seconds,
  }
}

function describe({ job, later }: OutOfOrder): Problem {
  return {
    kind: 'out-of-order',
    id: job.id,
    expected: `${job.business} done before ${later.business} (${later.id}), which has the same key and was accepted later`,
    found: 'done after it',
  }
}
