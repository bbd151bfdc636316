import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Delivery, judgeOutbox, type OutboxCounts } from './verdict.ts'

const committed = new Map([
  ['a', 3],
  ['b', 1],
])
const clean: readonly Delivery[] = [
  { key: 'a', value: 1, us: 10 },
  { key: 'b', value: 1, us: 11 },
  { key: 'a', value: 2, us: 20 },
  { key: 'a', value: 3, us: 30 },
]

function judged(deliveries: readonly Delivery[], failures: readonly string[] = []) {
  const { counts, problems } = judgeOutbox({ committed, deliveries, failures })
  const broken = Object.fromEntries(
    (['lost', 'outOfOrder', 'neverCommitted', 'failed', 'repeated'] satisfies (keyof OutboxCounts)[])
      .map((name) => [name, counts[name]] as const)
      .filter(([, count]) => count > 0),
  )
  return { broken, problems }
}

test('finds nothing where everything came once and in order', () => {
  assert.deepEqual(judged(clean), { broken: {}, problems: [] })
  const { counts } = judgeOutbox({ committed, deliveries: clean, failures: [] })
  assert.deepEqual([counts.recorded, counts.succeeded], [4, 4])
})

test('finds a planted loss', () => {
  const lossy = clean.filter(({ key, value }) => key !== 'a' || value !== 2)
  assert.deepEqual(judged(lossy), { broken: { lost: 1 }, problems: ['a 2 was recorded and never handled'] })
})

test('finds a planted swap', () => {
  const swapped = clean.map((each) => (each.key === 'a' && each.value > 1 ? { ...each, value: 5 - each.value } : each))
  assert.deepEqual(judged(swapped), {
    broken: { outOfOrder: 1 },
    problems: ['a 3 was handled before an earlier one of its key'],
  })
})

test('counts what came again, and takes its first success for the order', () => {
  const again = [...clean, { key: 'a', value: 1, us: 40 }]
  assert.deepEqual(judged(again), { broken: { repeated: 1 }, problems: [] })
})

test('finds what no committed transaction recorded', () => {
  const { broken, problems } = judged([...clean, { key: 'b', value: 2, us: 50 }, { key: 'c', value: 1, us: 51 }])
  assert.deepEqual(broken, { neverCommitted: 2 })
  assert.equal(problems.length, 2)
})

test('names processes that failed', () => {
  assert.deepEqual(judged(clean, ['A relay ended by itself']), {
    broken: { failed: 1 },
    problems: ['A relay ended by itself'],
  })
})
