import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigError, OptionError } from '../errors.ts'
import { defineJob } from '../job/job.ts'
import { defineSchedule } from './schedule.ts'

const job = defineJob({ type: 'report' })
const good = { name: 'nightly', job, payload: 1, cron: '@daily' }

test('a schedule has defaults, and durations in ms', () => {
  const { times, rules } = defineSchedule(good)
  assert.deepEqual(times, { cron: '@daily', everyMs: undefined, timeZone: 'UTC' })
  assert.deepEqual(rules, { jitterMs: 0, missed: 'once', maxLateMs: 86_400_000, overlap: 'allow' })
  assert.equal(defineSchedule({ name: 'a', job, payload: 1, every: '5m' }).times.everyMs, 300_000)
})

test('what cannot be used is refused', () => {
  const REFUSED: readonly [string, object][] = [
    ['a name with a space', { name: 'a b' }],
    ['no job', { job: {} }],
    ['both cron and every', { every: '5m' }],
    ['neither', { cron: undefined }],
    ['less than a second', { cron: undefined, every: 500 }],
    ['a zone beside every', { cron: undefined, every: '5m', timeZone: 'UTC' }],
    ['an unknown zone', { timeZone: 'Europe/Nowhere' }],
    ['an unknown policy', { missed: 'maybe' }],
    ['another', { overlap: 'maybe' }],
    ['an unknown option', { timezone: 'UTC' }],
  ]
  for (const [name, change] of REFUSED) {
    assert.throws(() => defineSchedule({ ...good, ...change }), ConfigError, name)
  }
  assert.throws(() => defineSchedule({ ...good, maxLate: 'soon' as never }), OptionError)
})
