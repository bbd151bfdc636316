import type { QueueCounts, WorkerView } from '../queue/inspector/inspector.ts'
import { type Diagnosis, problem } from './diagnosis.ts'

/** Queues whose jobs nobody runs. */
export function checkQueues(
  counts: Readonly<Record<string, QueueCounts>>,
  workers: readonly WorkerView[],
): Diagnosis[] {
  const served = new Set(
    workers.flatMap(({ about }) => (Array.isArray(about.queues) ? (about.queues as string[]) : [])),
  )
  return Object.entries(counts).flatMap(([queue, { waiting, active, delayed, aside }]) => {
    const jobs = waiting + active + delayed
    if (jobs > 0 && !served.has(queue)) {
      const found = `Queue ${queue} has ${jobs} ${jobs === 1 ? 'job' : 'jobs'} to run, and no worker.`
      return [problem(found, `moca worker start --queues ${queue}`)]
    }
    return Object.entries(aside).map(([type, count]) =>
      problem(
        `Queue ${queue}: ${count} of type ${type} wait for a worker that has a handler for it.`,
        `Start a worker whose apps have a handler for ${type}, or moca queue purge --queue ${queue} --type ${type}.`,
      ),
    )
  })
}
