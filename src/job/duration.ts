import { OptionError } from '../errors.ts'
import { describeValue } from './describe-value.ts'

/** A length of time: a number of milliseconds, or a number with a unit: `'500ms'`, `'30s'`, `'5m'`, `'2h'`, `'7d'`. */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`

const UNIT_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
/** A hundred years. An instant so far ahead still is a Date, and its milliseconds survive JSON in Lua, which keeps 14 digits. */
const LONGEST_MS = 36_500 * UNIT_MS.d

/** A length of time in milliseconds as Moca stores it. */
export function isDurationMs(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= LONGEST_MS
}

/** The length in milliseconds, rounded. Throws OptionError, naming `option`, for anything that is not a duration from zero to 36,500 days. */
export function parseDuration(value: Duration, option: string): number {
  const ms = typeof value === 'number' ? value : parseText(value)
  if (isDurationMs(ms)) return Math.round(ms)
  throw new OptionError(
    `${option} must be a duration of zero or more, at most 36500d: milliseconds as a number, or a text like '500ms', '30s', '5m', '2h', '7d'; found ${describeValue(value)}`,
    { option, found: value },
  )
}

function parseText(text: unknown): number {
  const match = typeof text === 'string' ? /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text) : null
  return match ? Number(match[1]) * UNIT_MS[match[2] as keyof typeof UNIT_MS] : Number.NaN
}
