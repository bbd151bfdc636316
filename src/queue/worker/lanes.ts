import { ConfigError } from '../../errors.ts'
import type { JobHandler } from '../../job/job.ts'
import { requireQueueName } from '../../job/job-id.ts'
import { Lane } from './lane.ts'

/** The queues that a worker serves, highest weight first. Throws ConfigError for none, and for two handlers of one type. */
export function makeLanes(
  queues: Readonly<Record<string, { readonly weight: number; readonly concurrency: number }>>,
  handlers: readonly JobHandler[],
): Lane[] {
  const types = new Set<string>()
  for (const { job } of handlers) {
    if (types.has(job.type))
      throw new ConfigError(`There are two handlers for jobs of type ${job.type}`, {
        option: 'handlers',
        found: job.type,
      })
    types.add(job.type)
  }
  const lanes = Object.entries(queues).map(
    ([queue, { weight, concurrency }]) => new Lane(requireQueueName(queue), weight, concurrency),
  )
  if (lanes.length === 0) throw new ConfigError('A worker needs at least one queue', { option: 'queues' })
  return lanes.sort((a, b) => b.weight - a.weight)
}
