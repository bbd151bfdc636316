import { acceptedByRedis, type Evidence, type Facts } from './evidence.ts'
import type { Problem } from './problem.ts'

/** What Redis forgot: counted twice, named, and reported by Moca with the same number. */
export function judgeLoss({ walk, rewind }: Evidence, facts: Facts): Problem[] {
  const { lostByRedis, forgotten } = facts
  const problems: Problem[] = []
  if (lostByRedis > 0 && forgotten.size !== lostByRedis) {
    const found = `${lostByRedis} fewer in Redis than in the journals, ${forgotten.size} of them known by name`
    problems.push({ kind: 'lost-by-redis', id: 'redis', expected: 'every accepted job', found })
  }
  if (rewind) {
    const acknowledged = [...facts.jobs.values()].filter(({ toUs }) => toUs < rewind.restartedAtUs).length
    const restored = acceptedByRedis(rewind.walk)
    if (acknowledged - restored !== lostByRedis) {
      const expected = `${acknowledged} acknowledged before, less ${restored} in the older state`
      problems.push({ kind: 'count', id: 'redis: lost', expected, found: String(lostByRedis) })
    }
  }
  if (walk.reportedLost !== lostByRedis) {
    const expected = `${lostByRedis} jobs reported as lost by Redis`
    problems.push({ kind: 'loss-misreported', id: 'redis', expected, found: `${walk.reportedLost} reported` })
  }
  return problems
}
