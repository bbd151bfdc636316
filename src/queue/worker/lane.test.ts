import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import type { Attempt } from './attempt.ts'
import { Lane } from './lane.ts'

function attempt(payloadText = ''): Attempt {
  return { payloadText } as Attempt
}

/** A lane that for some time ended `perMs` jobs a millisecond, and was looked at every `lookMs`; the instant of the last look. */
function busyLane(concurrency: number, perMs: number, lookMs = 1): { lane: Lane; nowMs: number } {
  const lane = new Lane('default', 1, concurrency)
  let nowMs = 0
  lane.wanted(nowMs)
  for (let owed = 0; nowMs < 200; ) {
    nowMs += lookMs
    for (owed += perMs * lookMs; owed >= 1; owed--) {
      lane.running++
      lane.ended()
    }
    lane.wanted(nowMs)
  }
  return { lane, nowMs }
}

test('a lane that has not worked yet wants as many as it may run', () => {
  const lane = new Lane('default', 1, 10)
  assert.equal(lane.wanted(0), 10)
  lane.push(attempt())
  lane.running = 4
  assert.equal(lane.wanted(1), 5)
  lane.running = 9
  assert.equal(lane.wanted(2), 0)
})

test('a fast lane fetches about 10 ms of work ahead', () => {
  const { lane, nowMs } = busyLane(10, 5)
  const wanted = lane.wanted(nowMs)
  assert.ok(wanted >= 55 && wanted <= 60, `wanted ${wanted}`)
})

test('what is fetched ahead never exceeds 1,000', () => {
  const { lane, nowMs } = busyLane(10, 400)
  assert.equal(lane.wanted(nowMs), 1_010)
})

test('a slow lane fetches nothing ahead', () => {
  const { lane, nowMs } = busyLane(10, 0.02, 20)
  assert.equal(lane.wanted(nowMs), 10)
})

test('a lane that becomes slow stops fetching ahead within a few looks', () => {
  const { lane, nowMs } = busyLane(10, 50)
  let looks = 0
  while (lane.wanted(nowMs + ++looks) > 10) assert.ok(looks < 10)
})

test('it asks again only when half of what is held ahead is used up', () => {
  const { lane, nowMs } = busyLane(10, 5)
  lane.running = 10
  const most = lane.wanted(nowMs)
  for (let held = 0; held < most; held++) lane.push(attempt())
  assert.equal(lane.wanted(nowMs), 0)
  lane.shift()
  assert.equal(lane.wanted(nowMs), 0)
  while (lane.buffered > most / 2 - 1) lane.shift()
  assert.ok(lane.wanted(nowMs) >= most / 2)
})

test('it wants nothing negative and never more than there is room for', () => {
  const step = fc.record({
    passMs: fc.nat(50),
    start: fc.nat(20),
    end: fc.nat(20),
  })
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 50 }), fc.array(step), (concurrency, steps) => {
      const lane = new Lane('default', 1, concurrency)
      let nowMs = 0
      for (const { passMs, start, end } of steps) {
        nowMs += passMs
        for (let count = 0; count < end && lane.running > 0; count++) lane.ended()
        for (let count = 0; count < start && lane.canStart; count++) {
          lane.shift()
          lane.running++
        }
        const wanted = lane.wanted(nowMs)
        assert.ok(Number.isInteger(wanted) && wanted >= 0)
        assert.ok(wanted + lane.running + lane.buffered <= concurrency + 1_000)
        for (let count = 0; count < wanted; count++) lane.push(attempt())
        assert.ok(lane.running <= concurrency)
        assert.ok(lane.freeSlots >= 0 && lane.freeSlots <= concurrency)
      }
    }),
  )
})

test('gives out in order, and counts what it holds', () => {
  const lane = new Lane('default', 1, 2)
  assert.equal(lane.shift(), undefined)
  assert.equal(lane.canStart, false)
  const [a, b, c] = [attempt('12345'), attempt('123'), attempt('1')]
  for (const each of [a, b, c]) lane.push(each)
  assert.deepEqual([lane.buffered, lane.bufferedBytes, lane.canStart], [3, 9, true])
  assert.equal(lane.shift(), a)
  assert.deepEqual([lane.buffered, lane.bufferedBytes], [2, 4])
  assert.deepEqual(lane.takeAll(), [b, c])
  assert.deepEqual([lane.buffered, lane.bufferedBytes, lane.shift()], [0, 0, undefined])
  lane.push(a)
  lane.running = 2
  assert.equal(lane.canStart, false)
  assert.equal(lane.shift(), a)
})
