// Pure: the promise of schedules, checked against the calendar and what handlers wrote down. Imports nothing of Moca.

/** A run of a handler, as it wrote it down itself. */
export interface Tick {
  readonly schedule: string
  /** The instant that it was scheduled for, ms since 1970. */
  readonly instantMs: number
  readonly jobId: string
  /** From 1: a later one repeats the run of a job, and is no second fire. */
  readonly attempt: number
  /** From the instant until the handler ran, ms. */
  readonly lateMs: number
}

export interface SchedulerEvidence {
  /** Schedule -> since when it is there, ms since 1970. */
  readonly begun: ReadonlyMap<string, number>
  /** Each has an instant at every multiple of it. */
  readonly everyMs: number
  /** Instants up to here must have fired. */
  readonly untilMs: number
  readonly ticks: readonly Tick[]
  /** Redis forgot what it had fired: that may fire again. */
  readonly mayRepeat: boolean
  /** Findings of a process of Moca that ended by itself, or did not go on: a sentence each. */
  readonly failures: readonly string[]
}

export interface SchedulerCounts {
  /** Instants of all schedules. */
  due: number
  /** Of these, how many came to the handler. */
  succeeded: number
  /** Due and never handled. Must be 0. */
  lost: number
  /** Fires beyond the first of an instant. Must be 0, unless Redis forgot. */
  doubled: number
  /** Runs beyond the first of a job: at-least-once allows them. */
  repeated: number
  /** Fires at what is no instant of the schedule. Must be 0. */
  unexpected: number
  /** Processes that ended by themselves, or did not go on. Must be 0. */
  failed: number
}

export interface SchedulerVerdict {
  readonly counts: SchedulerCounts
  /** One sentence per broken promise, at most 50. Empty = all held. */
  readonly problems: readonly string[]
}

const MOST_PROBLEMS = 50

export function judgeSchedules(evidence: SchedulerEvidence): SchedulerVerdict {
  const { begun, everyMs, untilMs, ticks, mayRepeat, failures } = evidence
  const problems = [...failures]
  const counts = { due: 0, succeeded: 0, lost: 0, doubled: 0, repeated: 0, unexpected: 0, failed: failures.length }
  const fires = new Map<string, number>()
  for (const { schedule, instantMs, attempt } of ticks) {
    if (attempt > 1) counts.repeated++
    const name = `${schedule} ${instantMs}`
    fires.set(name, (fires.get(name) ?? 0) + (attempt === 1 ? 1 : 0))
    const beganMs = begun.get(schedule)
    if (beganMs === undefined || instantMs <= beganMs || instantMs % everyMs !== 0) {
      counts.unexpected++
      problems.push(`${schedule} fired for ${instantMs}, which is no instant of it`)
    }
  }
  for (const [schedule, beganMs] of begun) {
    for (let instantMs = (Math.floor(beganMs / everyMs) + 1) * everyMs; instantMs <= untilMs; instantMs += everyMs) {
      counts.due++
      const fired = fires.get(`${schedule} ${instantMs}`)
      if (fired === undefined) {
        counts.lost++
        problems.push(`${schedule} did not fire for ${instantMs}`)
        continue
      }
      counts.succeeded++
      // An attempt that Redis forgot to have begun is a first one again; a job whose first attempt left no trace has none.
      if (fired <= 1) continue
      counts.doubled += fired - 1
      if (!mayRepeat) problems.push(`${schedule} fired ${fired} times for ${instantMs}`)
    }
  }
  return { counts, problems: problems.slice(0, MOST_PROBLEMS) }
}
