import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decide, type Decision, Timetable } from './timetable.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR
const hourly = new Timetable({ cron: undefined, everyMs: HOUR, timeZone: 'UTC' })
const NOW = 1_000 * HOUR + 10 * 60_000 // ten minutes past an hour
const at = (hour: number) => hour * HOUR

const TABLE: readonly [name: string, missed: 'skip' | 'once' | 'all', last: number, now: number, maxLate: number, Decision][] = [
  ['nothing is due', 'once', at(1_000), NOW, DAY, { missed: undefined, fireMs: [] }],
  ['a fire on time', 'skip', at(999), at(1_000), DAY, { missed: undefined, fireMs: [at(1_000)] }],
  ['a failover misses nothing', 'skip', at(999), at(1_000) + 30_000, DAY, { missed: undefined, fireMs: [at(1_000)] }],
  ['skip: later than a failover', 'skip', at(999), NOW, DAY, { missed: { fromMs: at(1_000), untilMs: at(1_000) }, fireMs: [] }],
  ['once: the latest of three', 'once', at(997), NOW, DAY, { missed: { fromMs: at(998), untilMs: at(999) }, fireMs: [at(1_000)] }],
  ['once: a recent one stands for those before', 'once', at(997), at(1_000), DAY, { missed: { fromMs: at(998), untilMs: at(999) }, fireMs: [at(1_000)] }],
  ['once: none is recent enough', 'once', at(997), NOW, 60_000, { missed: { fromMs: at(998), untilMs: at(1_000) }, fireMs: [] }],
  ['all: within maxLate', 'all', at(900), NOW, 2.5 * HOUR, { missed: { fromMs: at(901), untilMs: at(997) }, fireMs: [at(998), at(999), at(1_000)] }],
  ['an instant at maxLate still fires', 'all', at(998), at(1_000), HOUR, { missed: undefined, fireMs: [at(999), at(1_000)] }],
  ['the clock was set back: nothing until it is there again', 'all', at(2_000), NOW, DAY, { missed: undefined, fireMs: [] }],
] // biome-ignore format: a table

for (const [name, missed, last, now, maxLateMs, expected] of TABLE) {
  test(`missed fires: ${name}`, () => assert.deepEqual(decide(hourly, { missed, maxLateMs }, last, now), expected))
}

test('a day of missed seconds is decided without counting them, and all of them in portions', () => {
  const everySecond = new Timetable({ cron: '* * * * * *', everyMs: undefined, timeZone: 'Europe/Berlin' })
  const once = decide(everySecond, { missed: 'once', maxLateMs: DAY }, NOW - DAY, NOW)
  assert.equal(once.fireMs.length, 31)
  assert.deepEqual(once.missed, { fromMs: NOW - DAY + 1_000, untilMs: NOW - 31_000 })
  const all = decide(everySecond, { missed: 'all', maxLateMs: DAY }, NOW - DAY, NOW)
  assert.deepEqual([all.fireMs.length, all.fireMs[0], all.missed], [500, NOW - DAY + 1_000, undefined])
})

test('the last instant before another one is found however far it is', () => {
  const yearly = new Timetable({ cron: '@yearly', everyMs: undefined, timeZone: 'UTC' })
  assert.equal(yearly.last(0, Date.parse('2026-11-26T00:00Z')), Date.parse('2026-01-01T00:00Z'))
  assert.equal(yearly.last(Date.parse('2026-01-01T00:00Z'), Date.parse('2026-11-26T00:00Z')), undefined)
})
