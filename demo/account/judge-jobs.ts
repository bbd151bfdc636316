import type { Expectation } from '../cities.ts'
import { ENRICH_ATTEMPTS } from '../recorded.ts'
import type { AcceptedJob } from './accepted-jobs.ts'
import type { Facts } from './evidence.ts'
import type { Problem, ProblemKind } from './problem.ts'

/** Each accepted job: has it had the one end that the data asks for? */
export function judgeJobs(facts: Facts, expectation: Expectation): Problem[] {
  return [...facts.jobs.values()].flatMap((job) => judgeJob(job, facts, expectation))
}

function judgeJob({ id, business }: AcceptedJob, facts: Facts, expectation: Expectation): Problem[] {
  const place = facts.places.get(id)?.place
  const isDone = facts.successes.has(id)
  const shouldDie = expectation.dies.has(business)
  const problem = (kind: ProblemKind, found: string): Problem[] => [
    { kind, id, expected: `${business} ${shouldDie ? 'to be a dead letter' : 'to complete'}`, found },
  ]
  if (facts.forgotten.has(id)) {
    return problem('lost-by-redis', `Redis forgot it; it ${isDone ? 'had been done before' : 'was never done'}`)
  }
  if (place === 'dead') {
    const failures = facts.failures.get(id) ?? 0
    if (!shouldDie) return problem('wrongly-dead', `a dead letter after ${failures} failures`)
    if (failures < ENRICH_ATTEMPTS)
      return problem('not-retried', `a dead letter after ${failures} of ${ENRICH_ATTEMPTS} attempts`)
    return []
  }
  if (place !== undefined) return problem('unfinished', `${place}${isDone ? ', although it was done' : ''}`)
  if (!isDone) return problem('lost', 'never done, and nowhere in Redis')
  return shouldDie ? problem('not-dead', 'completed') : []
}
