import type { ScheduleView } from '../scheduler/schedules.ts'
import type { Context } from './context.ts'
import { EXIT, type ExitCode } from './exit-codes.ts'
import { formatDuration } from './format.ts'

const NEXT = 5

/** All schedules: when they fire next, and what became of the last time. */
export async function listSchedules(context: Context): Promise<ExitCode> {
  const { output } = context
  const schedules = await context.withMoca(({ scheduler }) => scheduler.list({ next: NEXT }))
  output.result({ at: new Date(), schedules }, () => {
    if (schedules.length === 0) return 'There are no schedules.'
    const rows = schedules.map((schedule) => [
      schedule.name,
      timesOf(schedule),
      schedule.type,
      schedule.isEnabled ? (schedule.next[0]?.toISOString() ?? 'never') : 'disabled',
      lastOf(schedule),
    ])
    return output.table(['SCHEDULE', 'TIMES', 'JOB', 'NEXT', 'LAST'], rows, 5)
  })
  return EXIT.fine
}

/** Who leads, and what is late. */
export async function showScheduler(context: Context): Promise<ExitCode> {
  const { output } = context
  const [leader, schedules] = await context.withMoca(({ scheduler }) =>
    Promise.all([scheduler.leader(), scheduler.list({ next: 1 })]),
  )
  const enabled = schedules.filter(({ isEnabled }) => isEnabled)
  const next = enabled.flatMap((schedule) => schedule.next).toSorted((a, b) => a.getTime() - b.getTime())[0]
  const facts = { leader, schedules: schedules.length, enabled: enabled.length, next }
  output.result({ at: new Date(), ...facts }, () =>
    [
      leader
        ? `Scheduler ${leader.owner} leads, epoch ${leader.epoch}.`
        : 'No scheduler leads: nothing fires (moca scheduler start).',
      `${schedules.length} schedules, ${enabled.length} enabled.`,
      next ? `The next fire is at ${next.toISOString()}.` : 'There is no next fire.',
    ].join('\n'),
  )
  return leader || enabled.length === 0 ? EXIT.fine : EXIT.problem
}

function timesOf({ cron, everyMs, timeZone }: ScheduleView): string {
  return cron === undefined ? `every ${formatDuration(everyMs)}` : `${cron} ${timeZone}`
}

function lastOf({ runs: [run] }: ScheduleView): string {
  return run ? `${run.scheduledFor.toISOString()} ${run.outcome}` : '-'
}
