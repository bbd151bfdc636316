// What a schedule's jobs say of where they come from.

export const SCHEDULE_HEADER = 'moca-schedule'
/** ms since 1970. */
export const SCHEDULED_FOR_HEADER = 'moca-scheduled-for'

/** Of which schedule and instant a job is. */
export interface ScheduledRun {
  readonly name: string
  readonly scheduledFor: Date
  /** How long after that instant the job was enqueued, ms. */
  readonly late: number
}

/** Undefined for a job of no schedule. */
export function scheduledRunOf(
  headers: Readonly<Record<string, string>>,
  enqueuedAtMs: number,
): ScheduledRun | undefined {
  const { [SCHEDULE_HEADER]: name, [SCHEDULED_FOR_HEADER]: instant } = headers
  if (name === undefined || instant === undefined) return undefined
  const scheduledFor = new Date(Number(instant))
  return Object.freeze({ name, scheduledFor, late: Math.max(0, enqueuedAtMs - scheduledFor.getTime()) })
}
