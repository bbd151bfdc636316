import { Cron } from 'croner'
import { ConfigError } from '../errors.ts'
import { describeValue } from '../job/describe-value.ts'
import type { TimeZone } from './time-zone.ts'

const NICKNAMES: Readonly<Record<string, string>> = {
  '@yearly': '0 0 1 1 *',
  '@annually': '0 0 1 1 *',
  '@monthly': '0 0 1 * *',
  '@weekly': '0 0 * * 0',
  '@daily': '0 0 * * *',
  '@midnight': '0 0 * * *',
  '@hourly': '0 * * * *',
}

/**
 * A cron expression: five fields, or six with seconds first. croner reads it and walks the calendar, in wall-clock time; what a zone's
 * clock makes of that is decided here, by Vixie's rule (docs/decisions/0052-times-of-schedules.md).
 */
export class CronExpression {
  readonly text: string
  readonly #calendar: Cron
  /** Minutes or hours begin with `*`: it follows real time. Else it is a time of day, which comes once a day. */
  readonly #followsRealTime: boolean

  /** Throws ConfigError. */
  constructor(text: string) {
    this.text = text
    const fields = readFields(text)
    this.#calendar = readCalendar(text, fields)
    const [minute = '', hour = ''] = fields.slice(-5)
    this.#followsRealTime = minute.startsWith('*') || hour.startsWith('*')
  }

  /** Its first instant after another one, ms since 1970; undefined when there is none any more (30 February). */
  next(afterMs: number, zone: TimeZone): number | undefined {
    return this.#followsRealTime ? this.#nextInRealTime(afterMs, zone) : this.#nextTimeOfDay(afterMs, zone)
  }

  /** A time that is skipped does not come, one that repeats comes twice. */
  #nextInRealTime(afterMs: number, zone: TimeZone): number | undefined {
    let [from, known, offset] = [afterMs, afterMs, zone.offsetAt(afterMs)]
    for (;;) {
      const wall = this.#nextWall(from + offset)
      if (wall === undefined) return undefined
      const change = zone.transitionWithin(known, wall - offset)
      if (!change) return wall - offset
      // By another clock from here on; its first instant may be one of ours.
      from = change.atMs - 1
      known = change.atMs
      offset = change.afterMs
    }
  }

  /** A time that is skipped comes at the end of the gap, one that repeats comes the first time. */
  #nextTimeOfDay(afterMs: number, zone: TimeZone): number | undefined {
    let wall = this.#nextWall(zone.wallAt(afterMs))
    while (wall !== undefined) {
      const { instantMs, repeatsUntilMs } = zone.instantOf(wall)
      if (instantMs > afterMs) return instantMs
      wall = this.#nextWall(repeatsUntilMs === undefined ? wall : repeatsUntilMs - 1)
    }
    return undefined
  }

  #nextWall(afterMs: number): number | undefined {
    return this.#calendar.nextRun(new Date(afterMs))?.getTime()
  }
}

function readFields(text: unknown): string[] {
  if (typeof text !== 'string') throw refusal(text, 'it is no text')
  const known = NICKNAMES[text.trim().toLowerCase()]
  const fields = (known ?? text).trim().split(/\s+/)
  if (fields.length !== 5 && fields.length !== 6) throw refusal(text, `it has ${fields.length} fields`)
  // croner takes it for the instant at which it reads the expression: each process would have another.
  if (text.includes('?')) throw refusal(text, '? is not supported; write *')
  return fields
}

function readCalendar(text: string, fields: readonly string[]): Cron {
  try {
    return new Cron(fields.join(' '), { utcOffset: 0, paused: true, mode: '5-or-6-parts' })
  } catch (error) {
    throw refusal(text, error instanceof Error ? error.message.replace(/^CronPattern: /, '') : String(error))
  }
}

function refusal(found: unknown, reason: string): ConfigError {
  return new ConfigError(
    `cron must be five fields (minute hour day month weekday), six with seconds first, or one of ${Object.keys(NICKNAMES).join(' ')}; found ${describeValue(found)}: ${reason}`,
    { option: 'cron', found },
  )
}
