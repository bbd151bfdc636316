import { type AcceptedJob, acceptedJobs } from './accepted-jobs.ts'
import type { Expectation, ReportContent } from './cities.ts'
import { enrichCity } from './jobs.ts'
import type { JournalLine } from './journal.ts'
import type { LedgerLine } from './ledger.ts'
import { outOfOrder, staleLines } from './order-of-keys.ts'
import type { FoundJob, RawWalk } from './raw-walk.ts'

// The account: does every job that a producer had accepted have exactly one end? Pure. Its sides come from different sources:
// the source data (what there must be), the producers' journals, the handlers' ledgers, and a raw look at Redis.

export interface Kill {
  readonly process: string
  readonly signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'
  readonly atSeconds: number
}

/** Redis was put back to an older state on purpose. */
export interface Rewind {
  /** The older state was taken at this instant; Redis stood still. */
  readonly frozenAtUs: number
  /** From this instant on Redis ran from the older state. */
  readonly restartedAtUs: number
  /** What the older state held. */
  readonly walk: RawWalk
}

export interface Evidence {
  readonly expectation: Expectation
  readonly journal: readonly JournalLine[]
  readonly ledger: readonly LedgerLine[]
  readonly walk: RawWalk
  readonly reports: ReadonlyMap<string, ReportContent>
  readonly kills: readonly Kill[]
  /** Process that was stopped past its lease and then continued. */
  readonly stoppedPid: number | undefined
  readonly redisRestarts: number
  readonly rewind?: Rewind | undefined
  readonly seconds: number
}

export type ProblemKind =
  | 'lost' // accepted, never done, and not in Redis
  | 'lost-by-redis' // Redis had accepted it and does not know it any more
  | 'loss-misreported' // Moca reported another number of jobs lost by Redis than the account finds
  | 'unfinished' // still in Redis
  | 'wrongly-dead'
  | 'not-dead' // a bad row that completed
  | 'not-retried' // a bad row that died before its attempts were used up
  | 'out-of-order'
  | 'never-accepted' // the data asks for a job that no producer had accepted
  | 'accepted-twice'
  | 'wrongly-refused'
  | 'not-refused'
  | 'unknown-job' // run, or found in Redis, and planned by nobody
  | 'misplaced' // Redis holds it in two places, or a name without a job
  | 'count' // a counter of Moca differs from the evidence
  | 'report' // a country's report is missing or wrong
  | 'not-tried' // a kill that should have happened did not, or proved nothing

export interface Problem {
  readonly kind: ProblemKind
  readonly id: string
  readonly expected: string
  readonly found: string
}

export interface Account {
  readonly ok: boolean
  readonly jobs: {
    readonly accepted: number
    readonly completed: number
    readonly dead: number
    readonly lost: number
    readonly rerun: number
    readonly outOfOrder: number
    readonly refused: number
  }
  readonly kills: readonly Kill[]
  readonly redis: { readonly restarts: number; readonly lostByRedis: number; readonly reportedByMoca: number }
  readonly problems: readonly Problem[]
  readonly seconds: number
}

/** The evidence by job. */
interface Facts {
  readonly jobs: ReadonlyMap<string, AcceptedJob>
  readonly successes: ReadonlyMap<string, number>
  readonly failures: ReadonlyMap<string, number>
  readonly places: ReadonlyMap<string, FoundJob>
  readonly forgotten: ReadonlySet<string>
}

export function makeAccount(evidence: Evidence): Account {
  const { journal, ledger, walk, expectation } = evidence
  const { jobs, refused, unknown } = acceptedJobs(journal, ledger)
  const facts: Facts = {
    jobs,
    successes: countLines(ledger, 'succeeded'),
    failures: countLines(ledger, 'failed'),
    places: new Map(walk.jobs.map((job) => [job.id, job])),
    forgotten: forgottenJobs(evidence, jobs),
  }
  const overtaken = outOfOrder(jobs.values(), ledger)
  const acceptedByRedis = walk.queues.reduce((sum, queue) => sum + (queue.counters['accepted'] ?? 0), 0)
  const lostByRedis = Math.max(0, jobs.size - acceptedByRedis)
  const isDead = (job: AcceptedJob) => facts.places.get(job.id)?.place === 'dead'

  const problems = [
    ...[...jobs.values()].flatMap((job) => judgeJob(job, facts, expectation)),
    ...overtaken.map(
      ({ job, later }): Problem => ({
        kind: 'out-of-order',
        id: job.id,
        expected: `${job.business} done before ${later.business} (${later.id}), which has the same key and was accepted later`,
        found: 'done after it',
      }),
    ),
    ...judgeAcceptance(facts, refused, expectation),
    ...unknownJobs(facts, unknown),
    ...walk.findings.map((finding): Problem => ({ kind: 'misplaced', ...finding })),
    ...judgeCounters(facts, walk),
    ...judgeLoss(evidence, facts, lostByRedis),
    ...judgeReports(evidence),
    ...judgeKills(evidence),
  ]
  const all = [...jobs.values()]
  return {
    ok: problems.length === 0,
    jobs: {
      accepted: jobs.size,
      completed: all.filter((job) => facts.successes.has(job.id) && !isDead(job)).length,
      dead: walk.jobs.filter(({ place }) => place === 'dead').length,
      lost: all.filter((job) => !facts.successes.has(job.id) && !facts.places.has(job.id)).length,
      rerun: [...facts.successes.values()].filter((lines) => lines > 1).length,
      outOfOrder: overtaken.length,
      refused: refused.size,
    },
    kills: evidence.kills,
    redis: { restarts: evidence.redisRestarts, lostByRedis, reportedByMoca: walk.reportedLost },
    problems,
    seconds: evidence.seconds,
  }
}

function judgeJob(job: AcceptedJob, facts: Facts, expectation: Expectation): Problem[] {
  const { id, business } = job
  const place = facts.places.get(id)?.place
  const isDone = facts.successes.has(id)
  const shouldDie = expectation.dies.has(business)
  const problem = (kind: ProblemKind, found: string): Problem[] => [
    { kind, id, expected: `${business} ${shouldDie ? 'to be a dead letter' : 'to complete'}`, found },
  ]
  if (facts.forgotten.has(id)) {
    return problem(
      'lost-by-redis',
      isDone ? 'Redis forgot it; it had been done before' : 'Redis forgot it; it was never done',
    )
  }
  if (place === 'dead') {
    if (!shouldDie) return problem('wrongly-dead', `a dead letter after ${facts.failures.get(id) ?? 0} failures`)
    const failures = facts.failures.get(id) ?? 0
    if (failures >= enrichCity.retry.attempts) return []
    return problem('not-retried', `a dead letter after ${failures} of ${enrichCity.retry.attempts} attempts`)
  }
  if (place !== undefined) return problem('unfinished', `${place}${isDone ? ', although it was done' : ''}`)
  if (!isDone) return problem('lost', 'never done, and nowhere in Redis')
  return shouldDie ? problem('not-dead', 'completed') : []
}

/** The producers' journals against the data. */
function judgeAcceptance(facts: Facts, refused: ReadonlySet<string>, expectation: Expectation): Problem[] {
  const problems: Problem[] = []
  const idsOf = Map.groupBy(facts.jobs.values(), (job) => job.business)
  for (const business of [...expectation.completes, ...expectation.dies]) {
    if (idsOf.has(business)) continue
    const isRefused = refused.has(business)
    const found = isRefused ? 'refused' : 'no producer had it accepted'
    problems.push({ kind: isRefused ? 'wrongly-refused' : 'never-accepted', id: business, expected: 'accepted', found })
  }
  for (const [business, jobs] of idsOf) {
    if (expectation.refused.has(business)) {
      problems.push({ kind: 'not-refused', id: business, expected: 'refused', found: ids(jobs) })
    } else if (!expectation.completes.has(business) && !expectation.dies.has(business)) {
      problems.push({ kind: 'unknown-job', id: business, expected: 'no such job', found: ids(jobs) })
    }
    // What Redis forgot may be accepted again: the idempotency key was forgotten with it.
    const remembered = jobs.filter(({ id }) => !facts.forgotten.has(id))
    if (remembered.length > 1)
      problems.push({ kind: 'accepted-twice', id: business, expected: 'one job', found: ids(remembered) })
  }
  for (const business of expectation.refused) {
    if (!refused.has(business) && !idsOf.has(business))
      problems.push({ kind: 'not-refused', id: business, expected: 'refused', found: 'never tried' })
  }
  return problems
}

function ids(jobs: readonly AcceptedJob[]): string {
  return jobs.map(({ id }) => id).join(', ')
}

function unknownJobs(facts: Facts, unknown: readonly LedgerLine[]): Problem[] {
  const expected = 'a job that a producer had accepted'
  const found = facts.places.values().filter(({ id }) => !facts.jobs.has(id))
  return [
    ...unknown.map(({ id, business }): Problem => ({ kind: 'unknown-job', id, expected, found: `run as ${business}` })),
    ...found.map(({ id, type, place }): Problem => ({ kind: 'unknown-job', id, expected, found: `${type}, ${place}` })),
  ]
}

/** Moca's counters against the journals, the ledgers and the raw walk. */
function judgeCounters(facts: Facts, walk: RawWalk): Problem[] {
  const problems: Problem[] = []
  const known = [...facts.jobs.values()].filter(({ id }) => !facts.forgotten.has(id))
  for (const { name, counters, places } of walk.queues) {
    const check = (id: string, expected: number, found: number) => {
      if (expected !== found)
        problems.push({ kind: 'count', id: `${name}: ${id}`, expected: String(expected), found: String(found) })
    }
    const count = (counter: string) => counters[counter] ?? 0
    const ofQueue = known.filter((job) => job.queue === name)
    const isDone = ({ id }: AcceptedJob) => facts.successes.has(id) && !facts.places.has(id)
    check('accepted by Moca, of those in the journals', ofQueue.length, count('accepted'))
    check('completed by Moca, of those in the ledgers', ofQueue.filter(isDone).length, count('completed'))
    const inRedis = Object.values(places).reduce((sum, n) => sum + n, 0)
    const ended = count('completed') + count('cancelled') + count('expired') + count('purged')
    check('in a place or ended, of those accepted', count('accepted'), inRedis + ended)
  }
  return problems
}

function judgeLoss(evidence: Evidence, facts: Facts, lostByRedis: number): Problem[] {
  const { walk, rewind, redisRestarts } = evidence
  const problems: Problem[] = []
  if (lostByRedis > 0 && facts.forgotten.size !== lostByRedis) {
    const found = `${lostByRedis} fewer in Redis than in the journals, of which ${facts.forgotten.size} can be named`
    problems.push({ kind: 'lost-by-redis', id: 'redis', expected: 'every accepted job', found })
  }
  if (rewind) {
    const before = [...facts.jobs.values()].filter(({ toUs }) => toUs < rewind.restartedAtUs).length
    const restored = rewind.walk.queues.reduce((sum, queue) => sum + (queue.counters['accepted'] ?? 0), 0)
    if (before - restored !== lostByRedis) {
      const expected = `${before - restored} = ${before} acknowledged before, less ${restored} in the older state`
      problems.push({ kind: 'count', id: 'redis: lost', expected, found: String(lostByRedis) })
    }
  }
  if (walk.reportedLost !== lostByRedis) {
    problems.push({
      kind: 'loss-misreported',
      id: 'redis',
      expected: `${lostByRedis} reported as lost by Redis`,
      found: `${walk.reportedLost} reported`,
    })
  }
  if (redisRestarts < 1 || walk.boots < redisRestarts + 1) {
    const found = `${redisRestarts} restarts, ${walk.boots} lives of the server noted by Moca`
    problems.push({ kind: 'not-tried', id: 'redis', expected: 'a restart that Moca noted', found })
  }
  return problems
}

/**
 * What Redis had accepted before it was put back, and not any more afterwards. The older state knew a job if it holds it, or if
 * the job had been done by then (a handler writes its line before Moca hears of the outcome).
 */
function forgottenJobs({ rewind, ledger }: Evidence, jobs: ReadonlyMap<string, AcceptedJob>): Set<string> {
  if (!rewind) return new Set()
  const held = new Set(rewind.walk.jobs.map(({ id }) => id))
  const doneBefore = new Set(
    ledger.filter((line) => line.outcome === 'succeeded' && line.us < rewind.frozenAtUs).map(({ id }) => id),
  )
  const ofOldLife = [...jobs.values()].filter(({ toUs }) => toUs < rewind.restartedAtUs)
  return new Set(ofOldLife.map(({ id }) => id).filter((id) => !held.has(id) && !doneBefore.has(id)))
}

function judgeReports({ expectation, reports }: Evidence): Problem[] {
  const problems: Problem[] = []
  for (const [country, expected] of expectation.reports) {
    const found = reports.get(country)
    if (JSON.stringify(found) === JSON.stringify(expected)) continue
    problems.push({
      kind: 'report',
      id: country,
      expected: JSON.stringify(expected),
      found: JSON.stringify(found) ?? 'no file',
    })
  }
  return problems
}

/** A run in which nothing was killed proves little; one whose stopped worker had nothing to hand in proves no fence. */
function judgeKills({ kills, ledger, stoppedPid }: Evidence): Problem[] {
  const problems: Problem[] = []
  const wanted = [
    ['a worker', 'SIGKILL'],
    ['a worker', 'SIGSTOP'],
    ['Redis', 'SIGKILL'],
  ] as const
  for (const [whom, signal] of wanted) {
    const happened = kills.some((kill) => kill.signal === signal && (kill.process === 'redis') === (whom === 'Redis'))
    if (!happened)
      problems.push({ kind: 'not-tried', id: whom, expected: `${signal} while it was at work`, found: 'none' })
  }
  if (stoppedPid !== undefined) {
    const refusable = [...staleLines(ledger)].some(({ pid }) => pid === stoppedPid)
    if (!refusable) {
      const expected = 'results handed in after its lease, and refused'
      problems.push({ kind: 'not-tried', id: `process ${stoppedPid}`, expected, found: 'none' })
    }
  }
  return problems
}

function countLines(ledger: readonly LedgerLine[], outcome: LedgerLine['outcome']): Map<string, number> {
  const counts = new Map<string, number>()
  for (const line of ledger) if (line.outcome === outcome) counts.set(line.id, (counts.get(line.id) ?? 0) + 1)
  return counts
}
