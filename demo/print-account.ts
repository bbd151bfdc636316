import type { Account } from './account/account.ts'
import type { Problem } from './account/problem.ts'

/** Of each kind; `--json FILE` writes them all. */
const PROBLEMS_SHOWN = 8

/** The account for people. */
export function printAccount(account: Account): void {
  const { jobs, documents, events, search, schedules, redis, kills, problems } = account
  const lines: [string, number | string][] = [
    ['rows refused by the schema', jobs.refused],
    ['jobs accepted', jobs.accepted],
    ['completed', jobs.completed],
    ['dead letters', jobs.dead],
    ['lost', jobs.lost],
    ['out of order', jobs.outOfOrder],
    ['run more than once', jobs.rerun],
    ['documents committed', documents?.committed ?? 0],
    ['in the table', documents?.inTable ?? 0],
    ['lost', documents?.lost ?? 0],
    ['events and jobs recorded', events?.recorded ?? 0],
    ['delivered, per subscription', events?.delivered ?? 0],
    ['lost', events?.lost ?? 0],
    ['out of order', events?.outOfOrder ?? 0],
    ['delivered more than once', events?.duplicated ?? 0],
    ['documents in the index', search?.indexed ?? 0],
    ['missing there', search?.missing ?? 0],
    ['stale', search?.stale ?? 0],
    ['orphaned', search?.orphaned ?? 0],
    ['instants of schedules due', schedules?.due ?? 0],
    ['fired', schedules?.fired ?? 0],
    ['missed', schedules?.missed ?? 0],
    ['doubled', schedules?.doubled ?? 0],
    ['restarts of Redis', redis.restarts],
    ['lost by Redis', redis.lostByRedis],
    ['reported as lost by Moca', redis.reportedByMoca],
    ['rows sent again by Moca', redis.sentAgain ?? 0],
    ['seconds', account.seconds.toFixed(1)],
  ]
  console.log('\nAccount')
  for (const [name, value] of lines) console.log(`  ${name.padEnd(28)}${String(value).padStart(9)}`)
  for (const { process, signal, as, atSeconds } of kills)
    console.log(`  ${atSeconds.toFixed(1).padStart(5)} s  ${signal} to ${process}${as ? ` (${as})` : ''}`)
  for (const [kind, all] of Map.groupBy(problems, (problem) => problem.kind)) printProblems(kind, all)
  console.log(account.ok ? '\nIt adds up.' : '\nIt does NOT add up.')
}

function printProblems(kind: string, problems: readonly Problem[]): void {
  console.log(`\n  ${kind}: ${problems.length}`)
  for (const { id, expected, found } of problems.slice(0, PROBLEMS_SHOWN)) {
    console.log(`    ${id}\n      expected: ${expected}\n      found:    ${found}`)
  }
  if (problems.length > PROBLEMS_SHOWN)
    console.log(`    ... and ${problems.length - PROBLEMS_SHOWN} more (--json FILE writes them all)`)
}
