import assert from 'node:assert/strict'
import { test } from 'node:test'
import { describeValue } from './describe-value.ts'

const cycle: Record<string, unknown> = {}
cycle.self = cycle

const TABLE: [unknown, string][] = [
  ['5 m', '"5 m"'],
  ['x'.repeat(1_000), `"${'x'.repeat(100)}…"`],
  ['\ud800', '"\\ud800"'],
  [5n, '5n'],
  [Number.NaN, 'NaN'],
  [-0.5, '-0.5'],
  [Number.POSITIVE_INFINITY, 'Infinity'],
  [false, 'false'],
  [undefined, 'undefined'],
  [null, 'null'],
  [[1], 'a list'],
  [new Date(Number.NaN), 'an invalid Date'],
  [new Date(0), 'a Date'],
  [cycle, 'an object'],
  [Symbol('s'), 'a symbol'],
  [() => 1, 'a function'],
]

for (const [value, words] of TABLE) {
  test(`describes ${words.slice(0, 20)}`, () => assert.equal(describeValue(value), words))
}
