import type { Times } from '../scheduler/schedule.ts'
import { listRuns, listSchedules, type RedisReads, type Run, type StoredSchedule } from '../scheduler/schedule-store.ts'
import { Timetable } from '../scheduler/timetable.ts'

/** A failover, and then some: what is due for longer has nobody to fire it. */
const OVERDUE_MS = 60_000

export interface ScheduleFinding {
  readonly kind: /** An instant was taken twice. */
    | 'fire_doubled'
    /** An instant was passed over, and nothing says why. */
    | 'fire_missing'
    /** An instant was taken that the schedule does not have. */
    | 'fire_unexpected'
    /** Nobody fires it. */
    | 'schedule_overdue'
  readonly schedule: string
  readonly expected: string
  readonly found: string
  readonly fix: string
}

/** Over the runs that the history keeps. */
export interface ScheduleAccount {
  readonly due: number
  readonly fired: number
  /** By policy: no scheduler ran, or the job before was not done. */
  readonly missed: number
  readonly doubled: number
  readonly findings: readonly ScheduleFinding[]
}

/** Compares the runs of every schedule with the instants that it had, by its times as they are now. */
export async function accountSchedules(redis: RedisReads, nowMs: number): Promise<ScheduleAccount> {
  const sum = { due: 0, fired: 0, missed: 0, doubled: 0 }
  const findings: ScheduleFinding[] = []
  for (const schedule of await listSchedules(redis)) {
    const one = accountSchedule(schedule, await listRuns(redis, schedule.name), nowMs)
    for (const name of ['due', 'fired', 'missed', 'doubled'] as const) sum[name] += one[name]
    findings.push(...one.findings)
  }
  return { ...sum, findings }
}

/** As `accountSchedules`, for one of them. `runs`: newest first. */
export function accountSchedule(schedule: StoredSchedule, runs: readonly Run[], nowMs: number): ScheduleAccount {
  const { name, version, definition, isEnabled, lastMs } = schedule
  const timetable = new Timetable(JSON.parse(definition.times) as Times)
  // A version is the instant of the change: what was before may have gone by other times.
  const own = runs.filter(({ outcome, scheduledFor }) => outcome !== 'triggered' && scheduledFor.getTime() > version)
  const fires = own.filter(({ outcome }) => outcome !== 'passed').map(({ scheduledFor }) => scheduledFor.getTime())
  const passed = own.filter(({ outcome }) => outcome === 'passed')
  const isPassed = (at: number) =>
    passed.some(({ missedFrom, scheduledFor }) => at >= (missedFrom?.getTime() ?? at) && at <= scheduledFor.getTime())
  const instants = instantsOf(timetable, fires)
  const taken = new Set(fires)
  const iso = (ms: number) => new Date(ms).toISOString()
  const tell = (kind: ScheduleFinding['kind'], expected: string, found: string, fix: string) => {
    return { kind, schedule: name, expected, found, fix }
  }
  const doubled = fires.filter((at, index) => fires.indexOf(at) !== index)
  const missing = [...instants].filter((at) => !taken.has(at) && !isPassed(at))
  const strange = [...taken].filter((at) => !instants.has(at))
  const next = timetable.next(lastMs)
  const isOverdue = isEnabled && next !== undefined && next < nowMs - OVERDUE_MS
  const see = `See moca scheduler list-jobs --json; trigger it by hand where a run is wanting: moca scheduler trigger ${name}`
  return {
    due: instants.size,
    fired: own.filter(({ outcome }) => outcome === 'enqueued').length,
    missed: own.filter(({ outcome }) => outcome !== 'enqueued').length,
    doubled: doubled.length,
    findings: [
      ...doubled.map((at) => tell('fire_doubled', `one fire at ${iso(at)}`, 'another one', see)),
      ...missing.map((at) => tell('fire_missing', `a fire at ${iso(at)}`, 'none, and later ones', see)),
      ...strange.map((at) => tell('fire_unexpected', `no fire at ${iso(at)}`, 'one', see)),
      ...(isOverdue
        ? [tell('schedule_overdue', `a fire at ${iso(next)}`, 'none yet', 'Start a scheduler: moca scheduler start')]
        : []),
    ],
  }
}

/** Those from the first fire to the last. */
function instantsOf(timetable: Timetable, fires: readonly number[]): ReadonlySet<number> {
  const instants = new Set<number>()
  if (fires.length === 0) return instants
  const last = Math.max(...fires)
  for (let at = timetable.next(Math.min(...fires) - 1); at !== undefined && at <= last; at = timetable.next(at)) {
    instants.add(at)
  }
  return instants
}
