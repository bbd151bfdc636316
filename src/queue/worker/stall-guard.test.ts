import assert from 'node:assert/strict'
import { test } from 'node:test'
import { StallGuard } from './stall-guard.ts'

test('trusts what was fetched while the process ran', () => {
  let now = 0
  const guard = new StallGuard(100, () => now)
  for (; now < 10_000; now += 60) {
    guard.tick()
    assert.equal(guard.mustConfirm(now - 500, now), false)
  }
})

test('asks about whatever was fetched before the process stood still, found by the tick', () => {
  let now = 0
  const guard = new StallGuard(100, () => now)
  now = 150
  guard.tick()
  assert.equal(guard.mustConfirm(0, now), true)
  assert.equal(guard.mustConfirm(149, now), true)
  assert.equal(guard.mustConfirm(150, now), false)
  // Also later: it stays doubtful until it is confirmed.
  now = 200
  guard.tick()
  assert.equal(guard.mustConfirm(149, now), true)
  assert.equal(guard.mustConfirm(160, now), false)
})

test('asks also when the reply is read before the first tick after the stall', () => {
  let now = 0
  const guard = new StallGuard(100, () => now)
  now = 5_000
  assert.equal(guard.mustConfirm(10, now), true)
  now = 5_001
  guard.tick()
  assert.equal(guard.mustConfirm(10, now), true)
  assert.equal(guard.mustConfirm(5_000, now), false)
})

test('a pause of exactly the limit is no stall', () => {
  let now = 0
  const guard = new StallGuard(100, () => now)
  now = 100
  guard.tick()
  assert.equal(guard.mustConfirm(0, now), false)
})
