import { ConfigError } from '../errors.ts'
import { describeValue } from '../job/describe-value.ts'

/** A change of a zone's distance from UTC. */
export interface Transition {
  /** The first instant of the new distance, ms since 1970. */
  readonly atMs: number
  readonly beforeMs: number
  readonly afterMs: number
}

const DAY_MS = 86_400_000
/** No clock was ever set by more: Samoa left out a day. */
const FAR_MS = 26 * 3_600_000

/**
 * A time zone as the runtime knows it (IANA names). A wall-clock time is told as the ms since 1970 that it would be in UTC.
 * Changes are looked for once a year and kept: what is asked of it afterwards is arithmetic.
 */
export class TimeZone {
  static readonly #known = new Map<string, TimeZone>()

  readonly name: string
  readonly #format: Intl.DateTimeFormat
  readonly #years = new Map<number, readonly Transition[]>()

  private constructor(name: string, format: Intl.DateTimeFormat) {
    this.name = name
    this.#format = format
  }

  /** Throws ConfigError for a name that the runtime does not know. */
  static of(name: string): TimeZone {
    const known = TimeZone.#known.get(name)
    if (known) return known
    const zone = new TimeZone(name, formatOf(name))
    TimeZone.#known.set(name, zone)
    return zone
  }

  /** How far its wall clock is ahead of UTC, ms. */
  offsetAt(instantMs: number): number {
    const inYear = this.#transitionsOf(yearOf(instantMs))
    const last = inYear.findLast(({ atMs }) => atMs <= instantMs)
    if (last) return last.afterMs
    return inYear[0]?.beforeMs ?? this.#readOffset(startOf(yearOf(instantMs)))
  }

  wallAt(instantMs: number): number {
    return instantMs + this.offsetAt(instantMs)
  }

  /** The first change after one instant and not after another. */
  transitionWithin(afterMs: number, untilMs: number): Transition | undefined {
    for (let year = yearOf(afterMs); year <= yearOf(untilMs); year++) {
      const found = this.#transitionsOf(year).find(({ atMs }) => atMs > afterMs && atMs <= untilMs)
      if (found) return found
    }
    return undefined
  }

  /**
   * The instant of a wall-clock time: the first one of a time that comes twice, and the end of the gap for one that is skipped.
   * `repeatsUntilMs`: set for a time that comes twice: the wall-clock time from which on times come once again.
   */
  instantOf(wallMs: number): { readonly instantMs: number; readonly repeatsUntilMs?: number } {
    const change = this.transitionWithin(wallMs - FAR_MS, wallMs + FAR_MS)
    if (!change) return { instantMs: wallMs - this.offsetAt(wallMs) }
    const { atMs, beforeMs, afterMs } = change
    const [early, late] = [wallMs - beforeMs, wallMs - afterMs]
    if (early < atMs) return late >= atMs ? { instantMs: early, repeatsUntilMs: atMs + beforeMs } : { instantMs: early }
    return { instantMs: Math.max(late, atMs) }
  }

  #transitionsOf(year: number): readonly Transition[] {
    const known = this.#years.get(year)
    if (known) return known
    const found: Transition[] = []
    const end = startOf(year + 1)
    let before = this.#readOffset(startOf(year) - 1)
    for (let from = startOf(year) - 1; from < end - 1; from = Math.min(from + DAY_MS, end - 1)) {
      const to = Math.min(from + DAY_MS, end - 1)
      const after = this.#readOffset(to)
      if (after !== before) found.push({ atMs: this.#bisect(from, to, before), beforeMs: before, afterMs: after })
      before = after
    }
    this.#years.set(year, found)
    return found
  }

  /** The first instant with another offset, where there is one change between the two. */
  #bisect(fromMs: number, toMs: number, before: number): number {
    let [low, high] = [fromMs, toMs]
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2)
      if (this.#readOffset(middle) === before) low = middle
      else high = middle
    }
    return high
  }

  #readOffset(instantMs: number): number {
    const parts: Record<string, number> = {}
    for (const { type, value } of this.#format.formatToParts(instantMs)) parts[type] = Number(value)
    const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts
    return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(instantMs / 1_000) * 1_000
  }
}

function yearOf(instantMs: number): number {
  return new Date(instantMs).getUTCFullYear()
}

function startOf(year: number): number {
  return Date.UTC(year, 0, 1)
}

function formatOf(timeZone: string): Intl.DateTimeFormat {
  try {
    return new Intl.DateTimeFormat('en-US-u-ca-iso8601-nu-latn', {
      timeZone,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    })
  } catch {
    throw new ConfigError(`timeZone must be a name like Europe/Berlin or UTC; found ${describeValue(timeZone)}`, {
      option: 'timeZone',
      found: timeZone,
    })
  }
}
