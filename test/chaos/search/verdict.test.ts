import assert from 'node:assert/strict'
import { test } from 'node:test'
import { judgeSearch, type SearchEvidence } from './verdict.ts'

const document = (id: string, version = 1, countryVersion = 1) => ({ id, version, countryVersion })
const FINE: SearchEvidence = {
  wanted: [document('1'), document('2', 3), document('3')],
  found: [document('3'), document('2', 3), document('1')],
  changes: 9,
  leftovers: [],
  failures: [],
}

test('an index that is as its tables are keeps all promises', () => {
  const { counts, problems } = judgeSearch(FINE)
  assert.deepEqual(problems, [])
  assert.deepEqual([counts.changes, counts.succeeded], [9, 3])
})

test('finds each broken promise, and nothing else', () => {
  const cases: [Partial<SearchEvidence>, string, RegExp][] = [
    [{ found: FINE.found.slice(1) }, 'missing', /^3 is missing; version 1/],
    [{ found: [...FINE.found.slice(0, 2), document('1', 2)] }, 'stale', /^1 is stale: version 2\/1 in the index, 1\/1/],
    [{ found: [...FINE.found.slice(0, 2), document('1', 1, 2)] }, 'stale', /^1 is stale: version 1\/2/],
    [{ found: [...FINE.found, document('4')] }, 'orphaned', /^4 is in the index/],
    [{ leftovers: ['generation x'] }, 'leftovers', /^generation x/],
    [{ failures: ['it ended'] }, 'failed', /^it ended/],
  ]
  for (const [change, count, message] of cases) {
    const { counts, problems } = judgeSearch({ ...FINE, ...change })
    assert.equal(problems.length, 1, count)
    assert.match(problems[0] ?? '', message)
    const { changes: _, succeeded: __, ...bad } = counts
    assert.deepEqual(
      Object.entries(bad).filter(([, value]) => value > 0),
      [[count, 1]],
    )
  }
})
