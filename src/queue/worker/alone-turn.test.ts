import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AloneTurn } from './alone-turn.ts'

const NOTHING_RUNS = Number.POSITIVE_INFINITY

test('an idle worker may always run a job alone', () => {
  const turn = new AloneTurn(30_000)
  assert.equal(turn.wants(0, true, NOTHING_RUNS), true)
  turn.grant()
  turn.began(10)
  turn.giveUp(5_010)
  assert.equal(turn.wants(5_011, true, NOTHING_RUNS), true)
})

test('a busy worker drains for a second, then goes on for twenty times as long', () => {
  const turn = new AloneTurn(30_000)
  assert.equal(turn.wants(1_000, false, 500), true)
  turn.grant()
  assert.equal(turn.drains(1_000), true)
  assert.equal(turn.drains(1_999), true)
  assert.equal(turn.drains(2_000), false)
  assert.equal(turn.isGranted, false)
  assert.equal(turn.wants(21_999, false, 21_000), false)
  assert.equal(turn.wants(22_000, false, 21_000), true)
})

test('what outlasted a drain is not waited for again', () => {
  const turn = new AloneTurn(30_000)
  turn.grant()
  turn.drains(1_000)
  turn.drains(2_000)
  assert.equal(turn.wants(25_000, false, 500), false)
  assert.equal(turn.wants(25_000, false, 2_001), true)
})

test('a worker with a job that has been running for longer than the bound does not drain', () => {
  const turn = new AloneTurn(30_000)
  assert.equal(turn.wants(40_000, false, 9_999), false)
  assert.equal(turn.wants(40_000, false, 10_000), true)
})

test('each drain in vain makes the next twice as long, up to the bound; a success begins anew', () => {
  const turn = new AloneTurn(3_000)
  const drainAt = (ms: number) => {
    turn.grant()
    let at = ms
    while (turn.drains(at)) at++
    return at - ms
  }
  assert.deepEqual([drainAt(0), drainAt(100_000), drainAt(200_000), drainAt(300_000)], [1_000, 2_000, 3_000, 3_000])
  turn.grant()
  turn.began(400_000)
  turn.giveUp(400_000)
  assert.equal(drainAt(500_000), 1_000)
})

test('after a job that ran alone the others come first, for as long as it took', () => {
  const turn = new AloneTurn(30_000)
  turn.grant()
  turn.began(1_000)
  assert.equal(turn.hasRun, true)
  turn.giveUp(61_000)
  assert.equal(turn.wants(120_999, false, 120_000), false)
  assert.equal(turn.wants(121_000, false, 120_000), true)
})

test('while nobody else waits the turn goes on', () => {
  const turn = new AloneTurn(30_000)
  turn.grant()
  turn.began(1_000)
  turn.goesOn()
  assert.deepEqual([turn.isGranted, turn.hasRun], [true, false])
})
