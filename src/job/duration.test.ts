import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import * as fc from 'fast-check'
import { OptionError } from '../errors.ts'
import { type Duration, parseDuration } from './duration.ts'

const READ: [Duration, number][] = [
  [0, 0],
  [250, 250],
  [1.6, 2],
  ['0s', 0],
  ['500ms', 500],
  ['30s', 30_000],
  ['5m', 300_000],
  ['2h', 7_200_000],
  ['7d', 604_800_000],
  ['1.5s', 1_500],
  ['0.25ms', 0],
  ['36500d', 3_153_600_000_000],
]

for (const [value, ms] of READ) {
  test(`reads ${JSON.stringify(value)} as ${ms} ms`, () => assert.equal(parseDuration(value, 'delay'), ms))
}

const REFUSED: unknown[] = [
  -1,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  3_153_600_000_001,
  Number.MAX_SAFE_INTEGER,
  5n,
  '',
  '5',
  's',
  '-5s',
  '5 s',
  '5S',
  '1h30m',
  '1e3ms',
  '.5s',
  ' 5s',
  '5s\n',
  '36501d',
  '9007199254740993d',
  null,
  undefined,
  true,
  {},
  ['5s'],
]

for (const value of REFUSED) {
  test(`refuses ${inspect(value)}`, () => {
    assert.throws(
      () => parseDuration(value as Duration, 'delay'),
      (error: unknown) =>
        error instanceof OptionError &&
        error.code === 'option_invalid' &&
        error.facts.option === 'delay' &&
        error.message.startsWith('delay must be a duration of zero or more'),
    )
  })
}

test('every duration it accepts is a whole number of milliseconds, zero or more', () => {
  const units = fc.constantFrom('ms', 's', 'm', 'h', 'd')
  fc.assert(
    fc.property(fc.double({ min: 0, max: 36_500, noNaN: true }), units, (amount, unit) => {
      const ms = parseDuration(`${Number(amount.toFixed(3))}${unit}` as Duration, 'delay')
      assert.ok(Number.isSafeInteger(ms) && ms >= 0)
    }),
  )
})
