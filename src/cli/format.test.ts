import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatCount, formatDuration, jobs } from './format.ts'

const DURATIONS: [number | undefined, string][] = [
  [undefined, '-'],
  [0, '0 ms'],
  [999.4, '999 ms'],
  [4_260, '4.2 s'],
  [59_999, '59.9 s'],
  [60_000, '1m'],
  [303_000, '5m 3s'],
  [3_600_000, '1h'],
  [7_205_000, '2h'],
  [176_400_000, '2d 1h'],
]

for (const [ms, text] of DURATIONS) {
  test(`${ms} ms reads ${text}`, () => assert.equal(formatDuration(ms), text))
}

test('counts read with separators, and jobs in the singular or plural', () => {
  assert.equal(formatCount(1_234_567), '1,234,567')
  assert.equal(jobs(1), '1 job')
  assert.equal(jobs(1_000), '1,000 jobs')
})
