import type { Backlog } from '../events/events.ts'
import type { RegisteredSubscription } from '../events/subscription-registry.ts'
import { jobTypeOf } from '../events/subscription.ts'
import type { JobQueue } from '../queue/job-queue.ts'
import type { Context } from './context.ts'
import { EXIT, type ExitCode } from './exit-codes.ts'
import { formatCount, formatDuration } from './format.ts'

/** What stands where of the jobs of one subscription. */
interface JobCounts {
  readonly waiting: number
  readonly active: number
  readonly delayed: number
  readonly gated: number
  readonly dead: number
  readonly oldestAt: Date | undefined
}

const PAGE_JOBS = 1_000

/** Who is subscribed, and what waits for each: in the log, and as jobs. */
export async function showConsumers(context: Context): Promise<ExitCode> {
  const { output } = context
  const consumers = await context.withMoca(async ({ events, queue }) => {
    const backlog = await events.backlog()
    const rows = []
    for (const subscription of await events.subscriptions()) {
      rows.push(
        describe(
          subscription,
          await countJobs(queue, subscription),
          backlog?.get(subscription.name),
          backlog !== undefined,
        ),
      )
    }
    return rows
  })
  output.result({ at: new Date(), subscriptions: consumers }, () => {
    if (consumers.length === 0) return 'Nobody is subscribed.'
    const head = [
      'SUBSCRIPTION',
      'TOPICS',
      'QUEUE',
      'LAG',
      'UNPUBLISHED',
      'WAITING',
      'GATED',
      'ACTIVE',
      'DELAYED',
      'DEAD',
      'OLDEST',
    ]
    const rows = consumers.map(
      ({ name, topics, queue, lag, unpublished, waiting, gated, active, delayed, dead, oldestAt }) => [
        name,
        topics.join(', '),
        queue,
        formatCount(lag),
        unpublished === undefined ? '-' : formatCount(unpublished),
        ...[waiting, gated, active, delayed].map(formatCount),
        dead > 0 ? output.style('red', formatCount(dead)) : '0',
        formatDuration(oldestAt && Math.max(0, Date.now() - oldestAt.getTime())),
      ],
    )
    return output.table(head, rows, 3)
  })
  return EXIT.fine
}

function describe(
  subscription: RegisteredSubscription,
  counts: JobCounts,
  backlog: Backlog | undefined,
  hasLog: boolean,
) {
  const unpublished = hasLog ? (backlog?.events ?? 0) : undefined
  const oldest = [counts.oldestAt, backlog?.oldestAt].flatMap((at) => (at ? [at.getTime()] : []))
  return {
    ...subscription,
    /** What it has not begun with. */
    lag: (unpublished ?? 0) + counts.waiting + counts.gated + counts.delayed,
    unpublished,
    ...counts,
    oldestAt: oldest.length === 0 ? undefined : new Date(Math.min(...oldest)),
  }
}

/** Looks at every job of the queue: its counters know no types. */
async function countJobs(queue: JobQueue, { name, queue: of }: RegisteredSubscription): Promise<JobCounts> {
  const counts = { waiting: 0, active: 0, delayed: 0, gated: 0, dead: 0 }
  let oldestMs = Infinity
  let cursor: string | undefined
  do {
    const page = await queue.list({ queue: of, type: jobTypeOf(name), limit: PAGE_JOBS, cursor })
    for (const { status, enqueuedAt } of page.jobs) {
      if (!(status in counts)) continue
      counts[status as keyof typeof counts]++
      if (status !== 'dead' && enqueuedAt) oldestMs = Math.min(oldestMs, enqueuedAt.getTime())
    }
    cursor = page.cursor
  } while (cursor !== undefined)
  return { ...counts, oldestAt: oldestMs === Infinity ? undefined : new Date(oldestMs) }
}
