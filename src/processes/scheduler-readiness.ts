import type { SchedulerHealth } from '../scheduler/scheduler.ts'
import type { Readiness } from '../service/health.ts'

/** An outage of this length is one. */
const LIMIT_MS = 15_000

/** Whether a scheduler works: Redis answered it lately. Standing by is no fault. Before the first answer the age is that of the process. */
export function judgeScheduler(health: SchedulerHealth, uptimeMs: number, isStopping: boolean): Readiness {
  const lastAnswerAgeMs = Math.min(health.lastAnswerAgoMs, uptimeMs)
  const reasons = [
    ...(isStopping ? ['it is stopping'] : []),
    ...(lastAnswerAgeMs <= LIMIT_MS ? [] : [`Redis has not answered for ${(lastAnswerAgeMs / 1000).toFixed(1)} s`]),
  ]
  return {
    isReady: reasons.length === 0,
    reasons,
    facts: { lastAnswerAgeMs, isLeading: health.isLeading, schedules: health.schedules },
  }
}
