import { handle, type JobHandler, defineJob } from '../job/job.ts'
import { defineSubscription, handleEvent, type Subscription } from './subscription.ts'

// What `moca verify --drill` sends through a system that runs (docs/decisions/0065-drill.md). Every worker handles it, whatever its apps.

export const CANARY = 'moca.canary'

/** Done as soon as it runs. One that nobody runs for an hour is nobody's concern any more. */
export const canaryJob = defineJob({ type: CANARY, keep: { completed: '10m' } })
export const CANARY_EXPIRES_MS = 3_600_000

/** Gets the events of canaries, in this queue. */
export function canarySubscription(queue: string): Subscription {
  return defineSubscription({ name: CANARY, topics: [CANARY], queue, onDead: 'skip' })
}

export const canaryHandlers: readonly JobHandler[] = [
  handle(canaryJob, () => {}),
  handleEvent(canarySubscription('default'), () => {}),
]
