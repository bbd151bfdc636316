import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Lane } from '../outbox/lane.ts'
import { judgeRelay } from './outbox-readiness.ts'

function standing(): Lane {
  const lane = new Lane(3, 1)
  lane.standstill = { reason: 'forgot', found: 1, expected: 5 }
  return lane
}

const CASES: [string, Parameters<typeof judgeRelay>, string[]][] = [
  ['one that works', [{ lastPassAgoMs: 20, lanes: [new Lane(1, 1)] }, 60_000, false], []],
  ['one without lanes', [{ lastPassAgoMs: 20, lanes: [] }, 60_000, false], []],
  ['one that has just started', [{ lastPassAgoMs: Infinity, lanes: [] }, 300, false], []],
  [
    'one that started long ago and never looked',
    [{ lastPassAgoMs: Infinity, lanes: [] }, 20_000, false],
    ['it has not looked at the log for 20.0 s'],
  ],
  [
    'one whose lane stands still',
    [{ lastPassAgoMs: 20, lanes: [standing(), new Lane(1, 1)] }, 60_000, false],
    ['1 lanes stand still: forgot'],
  ],
  ['one that stops', [{ lastPassAgoMs: 20, lanes: [] }, 60_000, true], ['it is stopping']],
]

for (const [name, facts, reasons] of CASES) {
  test(`judges ${name}`, () => {
    const readiness = judgeRelay(...facts)
    assert.deepEqual(readiness.reasons, reasons)
    assert.equal(readiness.isReady, reasons.length === 0)
  })
}
