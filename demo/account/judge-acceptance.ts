import type { Expectation } from '../cities.ts'
import type { AcceptedJob } from './accepted-jobs.ts'
import type { Facts } from './evidence.ts'
import type { Problem } from './problem.ts'

/** What the producers had accepted against the data: each business once, and nothing else. */
export function judgeAcceptance(facts: Facts, expectation: Expectation): Problem[] {
  const { completes, dies, refused } = expectation
  const byBusiness = Map.groupBy(facts.jobs.values(), (job) => job.business)
  const problems: Problem[] = []
  for (const business of [...completes, ...dies]) {
    if (byBusiness.has(business)) continue
    problems.push(
      facts.refused.has(business)
        ? { kind: 'wrongly-refused', id: business, expected: 'accepted', found: 'refused' }
        : { kind: 'never-accepted', id: business, expected: 'accepted', found: 'no producer had it accepted' },
    )
  }
  for (const business of refused) {
    const accepted = byBusiness.get(business)
    if (facts.refused.has(business) && !accepted) continue
    problems.push({
      kind: 'not-refused',
      id: business,
      expected: 'refused',
      found: accepted ? ids(accepted) : 'never tried',
    })
  }
  for (const [business, jobs] of byBusiness) {
    const isAskedFor = completes.has(business) || dies.has(business) || refused.has(business)
    if (!isAskedFor) problems.push({ kind: 'unknown-job', id: business, expected: 'no such job', found: ids(jobs) })
    // What Redis forgot may be accepted again: the idempotency key was forgotten with it.
    const remembered = jobs.filter(({ id }) => !facts.forgotten.has(id))
    if (remembered.length < 2) continue
    problems.push({ kind: 'accepted-twice', id: business, expected: 'one job', found: ids(remembered) })
  }
  return [...problems, ...unknownJobs(facts)]
}

/** Jobs that were run, or stand in Redis, and that no producer had accepted. */
function unknownJobs(facts: Facts): Problem[] {
  const expected = 'a job that a producer had accepted'
  const found = [...facts.places.values()].filter(({ id }) => !facts.jobs.has(id))
  return [
    ...facts.unplanned.map(({ id, business }): Problem => {
      return { kind: 'unknown-job', id, expected, found: `run as ${business}` }
    }),
    ...found.map(({ id, type, place }): Problem => ({ kind: 'unknown-job', id, expected, found: `${type}, ${place}` })),
  ]
}

function ids(jobs: readonly AcceptedJob[]): string {
  return jobs.map(({ id }) => id).join(', ')
}
