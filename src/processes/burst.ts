import { systemClock } from '../clock.ts'
import type { Moca } from '../moca.ts'
import type { QueueCounts } from '../queue/inspector/inspector.ts'
import type { Worker } from '../queue/worker/worker.ts'

const POLL_MS = 50

export interface Served {
  readonly queues: readonly string[]
  /** Types of jobs that the worker has a handler for. */
  readonly types: ReadonlySet<string>
}

/**
 * Resolves when no job that this worker can run waits, runs (here or elsewhere), or is due in its queues, or when the signal aborts.
 * Jobs that are delayed beyond now, retries among them, are not waited for.
 */
export async function untilEmpty(moca: Moca, worker: Worker, served: Served, stop: AbortSignal): Promise<void> {
  while (!stop.aborted) {
    // Redis away: it is asked again.
    if (await isEmpty(moca, worker, served).catch(() => false)) return
    await systemClock.wait(POLL_MS, stop)
  }
}

async function isEmpty(moca: Moca, worker: Worker, { queues, types }: Served): Promise<boolean> {
  const counts = await moca.queue.counts(queues)
  for (const [queue, count] of Object.entries(counts)) {
    if (unfinished(count, types) > 0 || (count.delayed > 0 && (await isDue(moca, queue)))) return false
  }
  const { running, buffered, unsettled } = worker.health()
  return running + buffered + unsettled === 0
}

function unfinished({ waiting, active, aside }: QueueCounts, types: ReadonlySet<string>): number {
  let sum = waiting + active
  for (const [type, count] of Object.entries(aside)) if (!types.has(type)) sum -= count
  return sum
}

/** Whether the next delayed job is due. One that is gone has just become due. */
async function isDue(moca: Moca, queue: string): Promise<boolean> {
  const { jobs } = await moca.queue.list({ queue, status: 'delayed', limit: 1 })
  const dueAt = jobs[0]?.dueAt
  return dueAt === undefined || dueAt.getTime() <= systemClock.wallMs()
}
