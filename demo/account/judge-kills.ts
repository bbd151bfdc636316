import type { Evidence, Kill } from './evidence.ts'
import { staleLines } from './order-of-keys.ts'
import type { Problem } from './problem.ts'

/** A run in which nothing was killed proves little; one whose stopped worker had nothing to hand in proves no fence. */
export function judgeKills(evidence: Evidence): Problem[] {
  const { kills, ledger, stoppedPid, redisRestarts, walk, failures } = evidence
  const isRedis = ({ process }: Kill) => process === 'redis'
  const isRelay = ({ process }: Kill) => process.startsWith('relay')
  const isIndexing = ({ as }: Kill) => as === 'indexing'
  const isLeading = ({ as }: Kill) => as === 'leading'
  const isWorker = ({ process }: Kill) => process.startsWith('worker')
  const hasHappened = (whom: (kill: Kill) => boolean, signal: Kill['signal']) =>
    kills.some((kill) => kill.signal === signal && whom(kill))
  const stale = [...staleLines(ledger), ...staleLines(evidence.recorded?.ledger ?? [])]
  const refused = walk.queues.reduce((sum, { counters }) => sum + (counters['stale'] ?? 0), 0)

  const wanted: [id: string, expected: string, isTrue: boolean][] = [
    ['a worker', 'SIGKILL while it was at work', hasHappened(isWorker, 'SIGKILL')],
    ['a worker', 'SIGSTOP while it was at work', hasHappened(isWorker, 'SIGSTOP')],
    ['redis', 'SIGKILL while it was at work', hasHappened(isRedis, 'SIGKILL')],
    ['redis', 'a restart that Moca noted', redisRestarts > 0 && walk.boots > redisRestarts],
    ['the stopped worker', 'to hand in results after its lease', stale.some(({ pid }) => pid === stoppedPid)],
    ['the stopped worker', 'its results to be refused', refused > 0],
  ]
  if (evidence.recorded)
    wanted.push(['a relay', 'SIGKILL while it had batches under way', hasHappened(isRelay, 'SIGKILL')])
  if (evidence.recorded)
    wanted.push([
      'the search index',
      'SIGKILL to its writer while documents were under way',
      hasHappened(isIndexing, 'SIGKILL'),
    ])
  if (evidence.fires)
    wanted.push(['the schedules', 'SIGKILL to the scheduler that led', hasHappened(isLeading, 'SIGKILL')])
  if (evidence.recorded && evidence.rewind)
    wanted.push(['the log', 'to be sent again in part', evidence.recorded.postgres.sentAgain > 0])
  const missing = wanted.filter(([, , isTrue]) => !isTrue)
  return [
    ...missing.map(([id, expected]): Problem => ({ kind: 'not-tried', id, expected, found: 'it did not happen' })),
    ...failures.map((found): Problem => ({ kind: 'not-tried', id: 'the plan', expected: 'all of it', found })),
  ]
}
