import { acceptedByRedis, type Evidence, type Facts } from './evidence.ts'
import type { Problem } from './problem.ts'

/** What Redis forgot: counted twice, named, and reported by Moca with the same number. */
export function judgeLoss({ walk, rewind, recorded }: Evidence, facts: Facts): Problem[] {
  const { lostByRedis, forgotten } = facts
  const problems: Problem[] = []
  if (lostByRedis > 0 && forgotten.size !== lostByRedis) {
    const found = `${lostByRedis} fewer in Redis than in the journals, ${forgotten.size} of them known by name`
    problems.push({ kind: 'lost-by-redis', id: 'redis', expected: 'every accepted job', found })
  }
  // The older state also counts what came by the log, and nobody but Moca knows how much of it that was.
  if (rewind && !recorded) {
    const acknowledged = [...facts.jobs.values()].filter(({ toUs }) => toUs < rewind.restartedAtUs).length
    const restored = acceptedByRedis(rewind.walk)
    if (acknowledged - restored !== lostByRedis) {
      const expected = `${acknowledged} acknowledged before, less ${restored} in the older state`
      problems.push({ kind: 'count', id: 'redis: lost', expected, found: String(lostByRedis) })
    }
  }
  // What came by the log was forgotten, too, and is in the report: it was sent again.
  const isReported = recorded && rewind ? walk.reportedLost >= lostByRedis : walk.reportedLost === lostByRedis
  if (!isReported) {
    const expected = `${lostByRedis} jobs reported as lost by Redis`
    problems.push({ kind: 'loss-misreported', id: 'redis', expected, found: `${walk.reportedLost} reported` })
  }
  return problems
}
