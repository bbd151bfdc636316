import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ArrivalCheck, isExact } from './arrival-check.ts'

function check(counters: Record<string, number>, arrivals: readonly [key: string, n: number][]) {
  const check = new ArrivalCheck(new Map(Object.entries(counters)))
  for (const [key, n] of arrivals) check.record(key, n)
  return check.verdict()
}

test('an arrival of each event once and in order is exact, however keys mix', () => {
  const verdict = check({ a: 2, b: 1, silent: 0 }, [
    ['a', 1],
    ['b', 1],
    ['a', 2],
  ])
  assert.deepEqual(verdict, { expected: 3, arrived: 3, missing: 0, repeated: 0, outOfOrder: 0, unknown: 0 })
  assert.ok(isExact(verdict))
})

test('names what is missing, also of a key of which nothing arrived', () => {
  const verdict = check({ a: 3, b: 2 }, [
    ['a', 1],
    ['a', 3],
  ])
  assert.equal(verdict.missing, 3)
  assert.equal(verdict.outOfOrder, 0, 'a gap is no inversion')
  assert.ok(verdict.missing + verdict.unknown > 0)
})

test('tells an event that was overtaken from one that came again', () => {
  const overtaken = check({ a: 3 }, [
    ['a', 2],
    ['a', 1],
    ['a', 3],
  ])
  assert.deepEqual([overtaken.outOfOrder, overtaken.repeated], [1, 0])
  const again = check({ a: 3 }, [
    ['a', 1],
    ['a', 2],
    ['a', 1],
    ['a', 3],
  ])
  assert.deepEqual([again.outOfOrder, again.repeated], [0, 1])
  assert.equal(again.missing + again.unknown, 0)
  assert.ok(!isExact(again) && !isExact(overtaken))
})

test('names what nobody committed', () => {
  const verdict = check({ a: 1 }, [
    ['a', 1],
    ['a', 2],
    ['z', 1],
    ['a', 0],
  ])
  assert.equal(verdict.unknown, 3)
  assert.ok(verdict.missing + verdict.unknown > 0)
})
