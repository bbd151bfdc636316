import assert from 'node:assert/strict'
import type { Scenario } from './scenario.ts'

/** Plays the short version of a scenario; fails with every promise that did not hold. */
export async function holds<Counts extends { readonly succeeded: number }>(scenario: Scenario<Counts>): Promise<void> {
  const { facts, verdict, problems = [] } = await scenario.run('short', 1)
  const broken = [...verdict.problems, ...problems]
  assert.deepEqual(broken, [], `${JSON.stringify(facts)} ${JSON.stringify(verdict.counts)}`)
  assert.ok(verdict.counts.succeeded > 0, 'nothing was done at all')
}
