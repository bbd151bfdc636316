import assert from 'node:assert/strict'
import { test } from 'node:test'
import { median, percentile, spread } from './statistics.ts'

test('takes the middle value, or the mean of the two in the middle', () => {
  assert.equal(median([3, 1, 2]), 2)
  assert.equal(median([4, 1, 3, 2]), 2.5)
  assert.equal(median([7]), 7)
})

test('sorts by number, not by text', () => {
  assert.equal(median([100, 9, 20]), 20)
})

test('takes percentiles by nearest rank', () => {
  const oneToHundred = Array.from({ length: 100 }, (_, index) => index + 1)
  const cases: [share: number, expected: number][] = [
    [0, 1],
    [0.01, 1],
    [0.5, 50],
    [0.501, 51],
    [0.99, 99],
    [0.999, 100],
    [1, 100],
  ]
  for (const [share, expected] of cases) assert.equal(percentile(oneToHundred, share), expected, `share ${share}`)
  assert.equal(percentile([5], 0.99), 5)
})

test('accepts typed arrays and leaves its input in order', () => {
  const values = new Float64Array([3, 1, 2])
  assert.equal(percentile(values, 0.5), 2)
  assert.deepEqual([...values], [3, 1, 2])
})

test('reports the median and both ends', () => {
  assert.deepEqual(spread([5, 1, 9]), { median: 5, min: 1, max: 9, samples: 3 })
})

test('refuses what cannot be summarised', () => {
  assert.throws(() => median([]), /no values/)
  assert.throws(() => spread([1, Number.NaN]), /NaN/)
  assert.throws(() => percentile([1], 99), /within 0\.\.1/)
})
