import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Run, StoredSchedule } from '../scheduler/schedule-store.ts'
import { accountSchedule } from './schedule-account.ts'

const HOUR = 3_600_000
const schedule: StoredSchedule = {
  name: 'hourly',
  version: 100 * HOUR + 1,
  isEnabled: true,
  lastMs: 105 * HOUR,
  definition: {
    source: 'config',
    times: JSON.stringify({ everyMs: HOUR, timeZone: 'UTC' }),
    rules: { jitterMs: 0, missed: 'once', maxLateMs: HOUR, overlap: 'allow' },
    type: 't',
    queue: 'default',
    payload: '1',
  },
}
const run = (hour: number, outcome: Run['outcome'] = 'enqueued', missedFrom?: number): Run => ({
  outcome,
  scheduledFor: new Date(hour * HOUR),
  at: new Date(hour * HOUR + 5),
  jobId: undefined,
  missedFrom: missedFrom === undefined ? undefined : new Date(missedFrom * HOUR),
})
const NOW = 105 * HOUR + 1_000
const kinds = (runs: Run[], now = NOW, more: Partial<StoredSchedule> = {}) =>
  accountSchedule({ ...schedule, ...more }, runs, now).findings.map(({ kind }) => kind)

test('every instant once: nothing is wrong, and it adds up', () => {
  const runs = [run(105), run(104, 'triggered'), run(104, 'busy'), run(103), run(102, 'passed', 102), run(101)]
  const { findings, ...sums } = accountSchedule(schedule, runs, NOW)
  assert.deepEqual([findings, sums], [[], { due: 5, fired: 3, missed: 2, doubled: 0 }])
})

test('planted faults are named', () => {
  assert.deepEqual(kinds([run(105), run(104), run(104), run(103)]), ['fire_doubled'])
  assert.deepEqual(kinds([run(105), run(103)]), ['fire_missing'])
  assert.deepEqual(kinds([run(105), run(104.5), run(104)]), ['fire_unexpected'])
  assert.deepEqual(kinds([run(105)], 106 * HOUR + 61_000), ['schedule_overdue'])
})

test('what was before the last change, and what is disabled, is not judged', () => {
  assert.deepEqual(kinds([run(105), run(104), run(90), run(80.5)]), [])
  assert.deepEqual(kinds([run(105)], 200 * HOUR, { isEnabled: false }), [])
  const times = JSON.stringify({ cron: '@yearly', timeZone: 'UTC' })
  assert.deepEqual(kinds([], NOW, { definition: { ...schedule.definition, times } }), [])
})
