import { CronExpression } from './cron-expression.ts'
import type { Rules, Times } from './schedule.ts'
import { TimeZone } from './time-zone.ts'

/** The time that a failover may take, and more: what is not later is fired as if on time. */
const FAILOVER_MS = 30_000
/** Instants decided at once. */
const MOST_AT_ONCE = 500
const NEAREST_MS = 1_000

/** The instants of a schedule. */
export class Timetable {
  readonly #everyMs: number | undefined
  readonly #cron: CronExpression | undefined
  readonly #zone: TimeZone

  /** Throws ConfigError. */
  constructor({ cron, everyMs, timeZone }: Times) {
    this.#everyMs = everyMs
    this.#cron = cron === undefined ? undefined : new CronExpression(cron)
    this.#zone = TimeZone.of(timeZone)
  }

  /** The first instant after another one, ms since 1970; undefined when none is left. */
  next(afterMs: number): number | undefined {
    if (this.#everyMs !== undefined) return (Math.floor(afterMs / this.#everyMs) + 1) * this.#everyMs
    return this.#cron?.next(afterMs, this.#zone)
  }

  /** The last instant after one and not after another. */
  last(afterMs: number, untilMs: number): number | undefined {
    for (let reachMs = NEAREST_MS; ; reachMs *= 2) {
      const from = Math.max(afterMs, untilMs - reachMs)
      let found: number | undefined
      for (let at = this.next(from); at !== undefined && at <= untilMs; at = this.next(at)) found = at
      if (found !== undefined || from === afterMs) return found
    }
  }
}

/** What is to be done about the instants that are due. */
export interface Decision {
  /** First and last of those that are not fired any more; they come before all that are. */
  readonly missed: { readonly fromMs: number; readonly untilMs: number } | undefined
  readonly fireMs: readonly number[]
}

/** Decides about the instants after the last one, up to now. At most 500 at once: the others are decided when these are done. */
export function decide(
  timetable: Timetable,
  rules: Pick<Rules, 'missed' | 'maxLateMs'>,
  lastMs: number,
  nowMs: number,
): Decision {
  const first = timetable.next(lastMs)
  if (first === undefined || first > nowMs) return { missed: undefined, fireMs: [] }
  const fireMs = from(timetable, firstFired(timetable, rules, lastMs, nowMs), nowMs)
  const end = fireMs[0] === undefined ? nowMs : fireMs[0] - 1
  const untilMs = first <= end ? timetable.last(lastMs, end) : undefined
  return { missed: untilMs === undefined ? undefined : { fromMs: first, untilMs }, fireMs }
}

/** From which instant on everything is fired. */
function firstFired(
  timetable: Timetable,
  { missed, maxLateMs }: Pick<Rules, 'missed' | 'maxLateMs'>,
  lastMs: number,
  nowMs: number,
): number {
  const oldest = Math.max(lastMs, nowMs - maxLateMs - 1)
  const recent = Math.max(oldest, nowMs - FAILOVER_MS - 1)
  if (missed === 'all') return oldest
  if (missed === 'skip') return recent
  // One for all: a recent one stands for what was missed before it.
  const next = timetable.next(recent)
  if (next !== undefined && next <= nowMs) return recent
  const latest = timetable.last(oldest, recent)
  return latest === undefined ? recent : latest - 1
}

function from(timetable: Timetable, afterMs: number, untilMs: number): number[] {
  const found: number[] = []
  for (let at = timetable.next(afterMs); at !== undefined && at <= untilMs; at = timetable.next(at)) {
    found.push(at)
    if (found.length === MOST_AT_ONCE) break
  }
  return found
}
