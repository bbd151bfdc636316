import type { FireLine } from '../fire-ledger.ts'
import { INTERVALS_MS } from '../scheduled.ts'
import type { Problem } from './problem.ts'

/** What the account of fires is made from. */
export interface FireEvidence {
  /** From the handler. */
  readonly ledger: readonly FireLine[]
  /** Schedules were defined, and fired, at this instant already, ms since 1970. */
  readonly fromMs: number
  /** What was due by then has had its time. */
  readonly untilMs: number
}

export interface ScheduleTotals {
  /** Instants between the beginning and the end, worked out from the intervals. */
  readonly due: number
  /** Of those. */
  readonly fired: number
  readonly missed: number
  /** Instants for which there was more than one job. */
  readonly doubled: number
}

/** Was each instant of each schedule fired, and once? A job that was done twice after a kill is one fire. */
export function judgeFires({ ledger, fromMs, untilMs }: FireEvidence): {
  readonly totals: ScheduleTotals
  readonly problems: readonly Problem[]
} {
  const jobs = new Map<string, Set<string>>()
  for (const { schedule, instantMs, id } of ledger) {
    const name = nameOf(schedule, instantMs)
    jobs.set(name, (jobs.get(name) ?? new Set()).add(id))
  }
  const due = Object.entries(INTERVALS_MS).flatMap(([schedule, everyMs]) =>
    instants(everyMs, fromMs, untilMs).map((instantMs) => nameOf(schedule, instantMs)),
  )
  const missed = due.filter((name) => !jobs.has(name))
  const doubled = [...jobs].filter(([, ids]) => ids.size > 1)
  const strange = ledger.filter(({ schedule, instantMs }) => instantMs % (INTERVALS_MS[schedule] ?? Infinity) !== 0)
  return {
    totals: {
      due: due.length,
      fired: due.length - missed.length,
      missed: missed.length,
      doubled: doubled.length,
    },
    problems: [
      ...missed.map((id): Problem => {
        return { kind: 'fire-missed', id, expected: 'a job of this instant', found: 'no handler has run one' }
      }),
      ...doubled.map(([id, ids]): Problem => {
        return { kind: 'fire-doubled', id, expected: 'one job of this instant', found: [...ids].join(', ') }
      }),
      ...strange.map(({ schedule, instantMs, id }): Problem => {
        const found = `an instant that the schedule does not have (${id})`
        return { kind: 'fire-unexpected', id: nameOf(schedule, instantMs), expected: 'no job of it', found }
      }),
    ],
  }
}

/** Multiples of the interval: after `fromMs`, and up to `untilMs`. */
function instants(everyMs: number, fromMs: number, untilMs: number): number[] {
  const first = Math.floor(fromMs / everyMs) + 1
  const last = Math.floor(untilMs / everyMs)
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => (first + i) * everyMs)
}

/** What is named in problems: `pulse 2026-07-01T12:00:03.000Z`. */
function nameOf(schedule: string, instantMs: number): string {
  return `${schedule} ${new Date(instantMs).toISOString()}`
}
