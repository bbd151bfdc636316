import assert from 'node:assert/strict'
import { test } from 'node:test'
import { drawCurves, formatRelations, formatStages, type Sample, stageOf } from './curve.ts'

const nothing = { look: [], 'read-begun': [], 'read-late': [], intend: [] }
const start: Sample = {
  atMs: 0,
  committed: 0,
  relayed: 0,
  isHeld: false,
  timings: nothing,
  relations: [
    { name: 'outbox', kind: 'log', bytes: 0 },
    { name: 'relay', kind: 'hot', bytes: 8_192 },
  ],
}
const later: Sample = {
  atMs: 10_000,
  committed: 2_000,
  relayed: 1_500,
  isHeld: true,
  timings: { look: [1, 2, 9], 'read-begun': [2, 4], 'read-late': [], intend: [5] },
  relations: [
    { name: 'outbox', kind: 'log', bytes: 1_000_000 },
    { name: 'outbox_pkey', kind: 'log', bytes: 48_576 },
    { name: 'relay', kind: 'hot', bytes: 16_384 },
  ],
}

test('sums up a stage: durations, sizes by kind, reading by the rows of this stage alone', () => {
  const stage = stageOf(later, 500)
  assert.deepEqual(stage.ms.look, { p50: 2, p99: 9 })
  assert.equal(stage.ms['read-late'], undefined)
  assert.equal(stage.readUsPerRow, 6)
  assert.equal(stage.behind, 500)
  assert.deepEqual(stage.bytes, { log: 1_048_576, notes: 0, hot: 16_384 })
})

test('a stage in which nothing was relayed has no time for a row', () => {
  assert.equal(stageOf(later, 1_500).readUsPerRow, undefined)
  assert.ok(!formatStages([stageOf(start, 0)]).includes('NaN'))
})

test('says what an event took of each table, those that came later included', () => {
  const table = formatRelations(start, later)
  assert.match(table, /\| outbox \| log \| 0 \| 1000000 \| 500\.00 \|/)
  assert.match(table, /\| outbox_pkey \| log \| 0 \| 48576 \| 24\.29 \|/)
})

test('shades where the transaction was open', () => {
  assert.ok(drawCurves([stageOf(start, 0), stageOf(later, 0)]).includes('a transaction is open'))
  assert.ok(!drawCurves([stageOf(start, 0)]).includes('a transaction is open'))
})
