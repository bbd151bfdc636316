import type { LossReport } from '../queue/inspector/inspector.ts'
import { type Diagnosis, note, problem } from './diagnosis.ts'

const RECENT_MS = 86_400_000

/** What Redis forgot. Recorded jobs and events are sent again by relays; others are gone. */
export function checkLosses(losses: readonly LossReport[], nowMs: number): Diagnosis[] {
  const open = losses.filter(({ acknowledgedAt }) => acknowledgedAt === undefined)
  return open.map(({ queue, lost, from, to, noticedAt }) => {
    const isRecent = nowMs - noticedAt.getTime() < RECENT_MS
    return (isRecent ? problem : note)(
      `Redis forgot at least ${lost} of queue ${queue}, accepted after ${from.toISOString()}, not later than ${to.toISOString()}.`,
      'Enqueue them again where their producers know them, and see what Redis keeps on its disk (persistence); then moca queue acknowledge-losses.',
    )
  })
}
