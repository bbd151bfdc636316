import { OptionError } from '../errors.ts'
import { type Duration, parseDuration } from '../job/duration.ts'

/** A whole number as a flag gives it; undefined when the flag was left out. */
export function parseWhole(flag: string, text: string | undefined, from: number, to: number): number | undefined {
  if (text === undefined) return undefined
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
  if (value >= from && value <= to) return value
  throw refuse(flag, `a whole number from ${from} to ${to}`, text)
}

/** A length of time as a flag gives it, in ms. The unit is asked for: of `--older-than 5` nobody knows whether it means minutes. */
export function parseTime(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  try {
    return parseDuration(text as Duration, flag)
  } catch {
    throw refuse(flag, 'a number with a unit, like 500ms, 30s, 5m, 2h or 7d', text)
  }
}

/** An instant as a flag gives it: a time of day in ISO 8601, or a length of time ago. */
export function parseInstant(flag: string, text: string | undefined): Date | undefined {
  if (text === undefined) return undefined
  // A number alone would be read as a year.
  const isDate = /^\d{4}-\d\d-\d\d/.test(text) && !Number.isNaN(Date.parse(text))
  if (isDate) return new Date(text)
  try {
    return new Date(Date.now() - parseDuration(text as Duration, flag))
  } catch {
    throw refuse(flag, 'an instant like 2026-11-25T08:00:00Z, or a time ago like 10m, 2h or 7d', text)
  }
}

function refuse(flag: string, expected: string, found: string): OptionError {
  return new OptionError(`${flag} must be ${expected}; found ${JSON.stringify(found)}`, {
    option: flag,
    found,
    expected,
  })
}
