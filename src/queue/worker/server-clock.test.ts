import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ServerClock } from './server-clock.ts'

const TOLERANCE_MS = 500
const BEGIN_MS = 1_800_000_000_000

/** A reading taken at `atMs` of both clocks, heard so much later. */
function reading(atMs: number, { aheadMs = 0, askedBeforeMs = 0, heardAfterMs = 0 } = {}) {
  const heardMs = atMs + heardAfterMs
  return {
    toldMs: BEGIN_MS + atMs + aheadMs,
    askedMs: atMs - askedBeforeMs,
    heardMs,
    wallMs: BEGIN_MS + heardMs,
  }
}

test('knows how far the server is ahead', () => {
  const clock = new ServerClock()
  clock.begin(7)
  assert.equal(clock.offsetMs, 7)
  clock.read(reading(1_000, { aheadMs: 250, askedBeforeMs: 10, heardAfterMs: 10 }), TOLERANCE_MS)
  assert.equal(clock.offsetMs, 250)
})

test('a clock that was set forwards or back is noticed, one that drifts is not', () => {
  for (const [aheadMs, expected] of [
    [400, false],
    [-400, false],
    [600, true],
    [-600, true],
  ] as const) {
    const clock = new ServerClock()
    assert.equal(clock.read(reading(1_000), TOLERANCE_MS), false)
    assert.equal(clock.read(reading(2_000, { aheadMs }), TOLERANCE_MS), expected, String(aheadMs))
  }
})

test('an answer that is heard late, by a blocked event loop, is no clock that was set', () => {
  const clock = new ServerClock()
  clock.read(reading(1_000), TOLERANCE_MS)
  assert.equal(clock.read(reading(2_000, { heardAfterMs: 900 }), TOLERANCE_MS), false)
  // The next is heard at once: less has passed between the hearings than between the instants.
  assert.equal(clock.read(reading(3_900), TOLERANCE_MS), false)
  assert.equal(clock.read(reading(4_900, { askedBeforeMs: 900 }), TOLERANCE_MS), false)
})

test('what an earlier connection told says nothing of the next', () => {
  const clock = new ServerClock()
  clock.read(reading(1_000), TOLERANCE_MS)
  clock.begin(0)
  assert.equal(clock.read(reading(2_000, { aheadMs: 5_000 }), TOLERANCE_MS), false)
})
