import assert from 'node:assert/strict'
import { test } from 'node:test'
import { judgeSchedules, type Tick } from './verdict.ts'

const tick = (second: number, more: Partial<Tick> = {}): Tick => ({
  schedule: 's',
  instantMs: second * 1_000,
  jobId: `j${second}`,
  attempt: 1,
  lateMs: 1,
  ...more,
})
const judge = (ticks: readonly Tick[], mayRepeat = false) =>
  judgeSchedules({ begun: new Map([['s', 10_500]]), everyMs: 1_000, untilMs: 13_000, ticks, mayRepeat, failures: [] })

test('each instant once is fine, and so is a run that is repeated', () => {
  const { counts, problems } = judge([tick(11), tick(12), tick(12, { attempt: 2 }), tick(13), tick(14)])
  assert.deepEqual(problems, [])
  assert.deepEqual(counts, { due: 3, succeeded: 3, lost: 0, doubled: 0, repeated: 1, unexpected: 0, failed: 0 })
})

test('an instant that is missing, one that came twice and one that is none are named', () => {
  const { counts, problems } = judge([tick(10), tick(11), tick(13), tick(13, { jobId: 'other' }), tick(13.5)])
  assert.deepEqual([counts.lost, counts.doubled, counts.unexpected], [1, 1, 2])
  assert.deepEqual(problems, [
    's fired for 10000, which is no instant of it',
    's fired for 13500, which is no instant of it',
    's did not fire for 12000',
    's fired 2 times for 13000',
  ])
})

test('what Redis forgot may fire again, and is counted', () => {
  const { counts, problems } = judge([tick(11), tick(12), tick(12), tick(13)], true)
  assert.deepEqual([counts.doubled, problems], [1, []])
})
