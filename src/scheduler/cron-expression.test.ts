import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigError } from '../errors.ts'
import { CronExpression } from './cron-expression.ts'
import { TimeZone } from './time-zone.ts'

// In UTC, from the given instant: what comes of an expression in a zone whose clock is changed.
const TABLE: readonly [name: string, zone: string, cron: string, from: string, expected: readonly string[]][] = [
  [
    'a time of day that is skipped comes right after the gap, once',
    'Europe/Berlin',
    '30 2 * * *',
    '2026-03-28T12:00Z',
    ['2026-03-29T01:00Z', '2026-03-30T00:30Z'],
  ],
  [
    'several times within a gap come as one',
    'Europe/Berlin',
    '0,20,40 2 * * *',
    '2026-03-28T12:00Z',
    ['2026-03-29T01:00Z', '2026-03-30T00:00Z'],
  ],
  [
    'a time of day that repeats comes the first time',
    'Europe/Berlin',
    '30 2 * * *',
    '2026-10-24T12:00Z',
    ['2026-10-25T00:30Z', '2026-10-26T01:30Z'],
  ],
  [
    'asked within the repetition, it comes the next day',
    'Europe/Berlin',
    '45 2 * * *',
    '2026-10-25T01:10Z',
    ['2026-10-26T01:45Z'],
  ],
  [
    'every so many minutes follows real time through the gap',
    'Europe/Berlin',
    '*/30 * * * *',
    '2026-03-29T00:10Z',
    ['2026-03-29T00:30Z', '2026-03-29T01:00Z', '2026-03-29T01:30Z'],
  ],
  [
    'and through the repetition',
    'Europe/Berlin',
    '*/30 * * * *',
    '2026-10-25T00:10Z',
    ['2026-10-25T00:30Z', '2026-10-25T01:00Z', '2026-10-25T01:30Z', '2026-10-25T02:00Z'],
  ],
  [
    'hourly at a minute comes in both of the repeated hours',
    'America/New_York',
    '15 * * * *',
    '2026-11-01T04:30Z',
    ['2026-11-01T05:15Z', '2026-11-01T06:15Z', '2026-11-01T07:15Z'],
  ],
  [
    "Lord Howe's half hour: what is skipped comes at its end",
    'Australia/Lord_Howe',
    '15 2 * * *',
    '2026-10-03T00:00Z',
    ['2026-10-03T15:30Z', '2026-10-04T15:15Z'],
  ],
  [
    "Lord Howe's half hour: what repeats comes once",
    'Australia/Lord_Howe',
    '45 1 * * *',
    '2026-04-04T00:00Z',
    ['2026-04-04T14:45Z', '2026-04-05T15:15Z'],
  ],
  [
    "Lord Howe's half hour: every ten minutes follows real time",
    'Australia/Lord_Howe',
    '*/10 * * * *',
    '2026-04-04T14:45Z',
    ['2026-04-04T14:50Z', '2026-04-04T15:00Z', '2026-04-04T15:10Z'],
  ],
  [
    'a midnight that is skipped',
    'America/Sao_Paulo',
    '0 0 * * *',
    '2018-11-03T12:00Z',
    ['2018-11-04T03:00Z', '2018-11-05T02:00Z'],
  ],
  ['a day that is skipped', 'Pacific/Apia', '0 12 30 12 *', '2011-12-29T00:00Z', ['2011-12-30T10:00Z']],
  ['@daily', 'UTC', '@daily', '2026-01-01T00:00Z', ['2026-01-02T00:00Z', '2026-01-03T00:00Z']],
  ['the instant itself does not count', 'UTC', '*/15 * * * * *', '2026-01-01T00:00:15.000Z', ['2026-01-01T00:00:30Z']],
  ['a ms before it does', 'UTC', '*/15 * * * * *', '2026-01-01T00:00:14.999Z', ['2026-01-01T00:00:15Z']],
  ['the 29th of February waits for its year', 'UTC', '0 0 29 2 *', '2026-01-01T00:00Z', ['2028-02-29T00:00Z']],
]

for (const [name, zone, cron, from, expected] of TABLE) {
  test(`daylight saving and the calendar: ${name}`, () => {
    const found = take(new CronExpression(cron), TimeZone.of(zone), Date.parse(from), expected.length)
    assert.deepEqual(
      found,
      expected.map((instant) => Date.parse(instant)),
    )
  })
}

test('an expression without a next time says so', () => {
  assert.equal(new CronExpression('0 0 30 2 *').next(0, TimeZone.of('UTC')), undefined)
})

test('what is no expression is refused, and so is an unknown zone', () => {
  for (const text of ['', '* * * *', '* * * * * * *', '61 * * * *', 'x * * * *', '? * * * *', 5 as never]) {
    assert.throws(() => new CronExpression(text), ConfigError)
  }
  assert.throws(() => TimeZone.of('Europe/Nowhere'), ConfigError)
})

// The second implementation: it walks minute by minute through real time, asks Intl what the clock on the wall shows, and knows cron by
// a set of numbers per field. It shares nothing with the first but the runtime's table of zones.
const ZONES = [
  ['Europe/Berlin', ['2026-03-28', '2026-10-24', '2026-06-01']],
  ['America/New_York', ['2026-03-07', '2026-10-31']],
  ['Australia/Lord_Howe', ['2026-04-04', '2026-10-03']],
  ['America/Sao_Paulo', ['2018-11-03', '2018-02-17']],
  ['Africa/Casablanca', ['2026-02-14', '2026-03-21']],
  ['America/Havana', ['2026-03-07', '2026-10-31']],
  ['Pacific/Apia', ['2011-12-29']],
  ['Asia/Kathmandu', ['2026-01-31']],
  ['UTC', ['2027-12-31']],
] as const
const MINUTE_MS = 60_000
const WALKED_MINUTES = 3 * 24 * 60
const EXPRESSIONS_EACH = 25

test('next times agree with a walk through every minute of real time', () => {
  let seed = 20_261_126
  const random = (below: number) => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0
    return Math.floor((seed / 2 ** 32) * below)
  }
  let compared = 0
  for (const [name, days] of ZONES) {
    for (const day of days) {
      const start = Date.parse(`${day}T00:00Z`)
      const clock = walkClock(name, start)
      for (let round = 0; round < EXPRESSIONS_EACH; round++) {
        const expression = randomExpression(random)
        const expected = walk(expression, clock)
        const found = take(new CronExpression(expression.text), TimeZone.of(name), start, expected.length)
        assert.deepEqual(found.map(iso), expected.map(iso), `${expression.text} in ${name} from ${day}`)
        compared += expected.length
        // From any instant, not only from a fire.
        const from = start + random(WALKED_MINUTES * MINUTE_MS)
        const after = expected.find((instant) => instant > from)
        if (after !== undefined) {
          const [next] = take(new CronExpression(expression.text), TimeZone.of(name), from, 1)
          assert.equal(next && iso(next), iso(after), `${expression.text} in ${name} after ${iso(from)}`)
        }
      }
    }
  }
  assert.ok(compared > 5_000, `only ${compared} instants were compared`)
})

interface Reading {
  readonly instant: number
  readonly wall: number
}

interface Expression {
  readonly text: string
  readonly fields: readonly ReadonlySet<number>[]
  readonly isWild: boolean
  readonly daysAreEither: boolean
}

/** What the clock on the wall shows at each minute. */
function walkClock(timeZone: string, start: number): readonly Reading[] {
  const format = new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short', timeStyle: 'medium' })
  return Array.from({ length: WALKED_MINUTES + 1 }, (_, minute) => {
    const instant = start + minute * MINUTE_MS
    return { instant, wall: Date.parse(`${format.format(instant).replace(' ', 'T')}Z`) }
  })
}

function randomExpression(random: (below: number) => number): Expression {
  const field = (low: number, high: number, star: number): [string, Set<number>] => {
    const all = Array.from({ length: high - low + 1 }, (_, index) => low + index)
    const kind = random(100)
    if (kind < star) return ['*', new Set(all)]
    if (kind < star + 12) {
      const step = 2 + random(Math.max(2, Math.floor(all.length / 3)))
      return [`*/${step}`, new Set(all.filter((value) => (value - low) % step === 0))]
    }
    if (kind < star + 24) {
      const from = low + random(all.length)
      const to = from + random(high - from + 1)
      return [`${from}-${to}`, new Set(all.filter((value) => value >= from && value <= to))]
    }
    const some = new Set(Array.from({ length: 1 + random(3) }, () => low + random(all.length)))
    return [[...some].join(','), some]
  }
  const minute = field(0, 59, 15)
  const hour = random(2) === 0 ? field(0, 3, 20) : field(0, 23, 30)
  // The field of hours always covers 0 to 23 when it is a star.
  if (hour[0] === '*') hour[1] = new Set(Array.from({ length: 24 }, (_, index) => index))
  if (hour[0].startsWith('*/')) {
    const step = Number(hour[0].slice(2))
    hour[1] = new Set(Array.from({ length: 24 }, (_, index) => index).filter((value) => value % step === 0))
  }
  const parts = [minute, hour, field(1, 28, 80), field(1, 12, 76), field(0, 6, 76)]
  const [dayText = '', weekdayText = ''] = [parts[2]?.[0], parts[4]?.[0]]
  return {
    text: parts.map(([text]) => text).join(' '),
    // Of the days of a month the field covers more than was drawn, where it is a star.
    fields: parts.map(([text, values], index) => (index === 2 ? daysOf(text, values) : values)),
    isWild: minute[0].startsWith('*') || hour[0].startsWith('*'),
    daysAreEither: dayText !== '*' && weekdayText !== '*',
  }
}

function daysOf(text: string, values: Set<number>): Set<number> {
  if (!text.startsWith('*')) return values
  const step = text === '*' ? 1 : Number(text.slice(2))
  return new Set(Array.from({ length: 31 }, (_, index) => index + 1).filter((day) => (day - 1) % step === 0))
}

function matches({ fields, daysAreEither }: Expression, wall: number): boolean {
  const date = new Date(wall)
  const shown = [date.getUTCMinutes(), date.getUTCHours(), date.getUTCDate(), date.getUTCMonth() + 1, date.getUTCDay()]
  const [minute, hour, day, month, weekday] = shown.map((value, index) => fields[index]?.has(value))
  const isDay = daysAreEither ? day || weekday : day && weekday
  return Boolean(minute && hour && month && isDay)
}

function walk(expression: Expression, clock: readonly Reading[]): number[] {
  const [first] = clock as [Reading]
  if (expression.isWild) {
    return clock
      .filter(({ instant, wall }) => instant > first.instant && matches(expression, wall))
      .map((r) => r.instant)
  }
  const instants = new Set<number>()
  let shownUpTo = first.wall
  for (const { instant, wall } of clock.slice(1)) {
    // All that the wall has not shown before: the minutes of a gap, too, and none of a repetition.
    for (let minute = shownUpTo + MINUTE_MS; minute <= wall; minute += MINUTE_MS) {
      if (matches(expression, minute)) instants.add(instant)
    }
    shownUpTo = Math.max(shownUpTo, wall)
  }
  return [...instants]
}

function take(cron: CronExpression, zone: TimeZone, from: number, count: number): number[] {
  const found: number[] = []
  let at = from
  while (found.length < count) {
    const next = cron.next(at, zone)
    if (next === undefined) break
    found.push(next)
    at = next
  }
  return found
}

function iso(ms: number): string {
  return new Date(ms).toISOString()
}
