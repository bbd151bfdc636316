import { closest } from '../job/closest.ts'
import { requireQueueName } from '../job/job-id.ts'
import type { QueueReader } from '../queue/inspector/queue-reader.ts'
import { SYNC_QUEUE } from '../search/index-status.ts'
import { NotFoundError } from './cli-error.ts'
import type { Context } from './context.ts'

/**
 * Refuses a queue that neither the configuration nor Redis knows. In it there is nothing to find and nothing to do, but whoever
 * mistyped its name would take "no such jobs" for good news of another one.
 */
export async function requireKnownQueue(
  context: Context,
  reader: QueueReader,
  name: string | undefined,
): Promise<void> {
  if (name === undefined) return
  if (name === SYNC_QUEUE) {
    throw new NotFoundError(
      `${SYNC_QUEUE} is no queue of jobs, but what search indexes are behind their tables.`,
      'Look at it with moca search status.',
    )
  }
  requireQueueName(name)
  const { namespace, queues } = await context.config()
  if (Object.hasOwn(queues, name)) return
  const used = await reader.queues()
  if (used.includes(name)) return
  const known = [...new Set([...Object.keys(queues), ...used])]
  const meant = closest(name, known)
  throw new NotFoundError(
    `There is no queue ${name} in namespace ${namespace}; known are ${known.join(', ')}.`,
    meant === undefined ? 'Give one of these.' : `Did you mean ${meant}?`,
  )
}
