import { requireJobId, requireQueueName } from '../../job/job-id.ts'
import { type BulkResult, moveJobs, type PurgeFilter, purgeJobs, type RetryFilter, retryDead } from './bulk-move.ts'
import { findJob } from './job-finder.ts'
import { type JobPage, type ListFilter, listJobs } from './job-list.ts'
import type { JobView } from './job-view.ts'
import type { QueueLook, QueueReader } from './queue-reader.ts'

/** What stands where in a queue, and what happened to its jobs since the beginning. */
export interface QueueCounts extends Omit<QueueLook, 'oldest' | 'streams' | 'sides'> {
  /** Since the oldest waiting job was accepted; undefined when none waits. */
  readonly oldestWaitingMs: number | undefined
  /** Waiting jobs, by type, that were set aside because a worker had no handler for them. Part of `waiting`. */
  readonly aside: Readonly<Record<string, number>>
}

/** Jobs that the server had accepted and does not know any more: what processes found missing after a restart or failover. */
export interface LossReport {
  readonly queue: string
  /** At least so many. */
  readonly lost: number
  /** They were accepted after `from` and not later than `to`. */
  readonly from: Date
  readonly to: Date
  readonly noticedAt: Date
  /** When, and by whom, it was said to be known (`moca queue acknowledge-losses`); undefined: nobody has. */
  readonly acknowledgedAt: Date | undefined
  readonly acknowledgedBy: string | undefined
  /** The life of the server in which they are missing. */
  readonly boot: string
}

/** As lua/lose.lua and lua/acknowledge.lua write it; ms since 1970. */
interface StoredLoss {
  readonly lost: number
  readonly from: number
  readonly to: number
  readonly noticed: number
  readonly seen?: number
  readonly by?: string
}

export interface WorkerView {
  readonly id: string
  readonly seenAt: Date | undefined
  /** What the worker says of itself: host, pid, queues, ... */
  readonly about: Readonly<Record<string, unknown>>
}

/** Looks at queues and jobs, and moves them on somebody's word. Works in pages: nothing it does holds up Redis for long. */
export class Inspector {
  readonly #reader: QueueReader

  constructor(reader: QueueReader) {
    this.#reader = reader
  }

  /** Counts queues, all of them at one instant, by name. Default: every queue that ever had a job or a worker. */
  async counts(queues?: readonly string[]): Promise<Record<string, QueueCounts>> {
    for (const queue of queues ?? []) requireQueueName(queue)
    const { nowMs, queues: looks } = await this.#reader.look(queues ?? (await this.#reader.queues()))
    return Object.fromEntries(Object.entries(looks).map(([queue, look]) => [queue, asCounts(look, nowMs)]))
  }

  /** A job as it stands; undefined when it never was, or ended and the history does not show it any more. */
  async inspect(id: string): Promise<JobView | undefined> {
    return findJob(this.#reader, requireJobId(id))
  }

  /** Lists jobs in queue order, page by page. */
  async list(filter: ListFilter = {}): Promise<JobPage> {
    return listJobs(this.#reader, filter)
  }

  /** Starts a dead letter anew, its history kept. */
  async retry(id: string): Promise<'retried' | 'not_dead' | 'not_found'> {
    const { queue, place } = requireJobId(id)
    const [word] = await moveJobs(this.#reader, queue, 'retry', [place])
    return word as 'retried' | 'not_dead' | 'not_found'
  }

  /** Starts dead letters anew, oldest first. */
  async retryAll(filter: RetryFilter = {}): Promise<BulkResult> {
    return retryDead(this.#reader, filter)
  }

  /** Takes a job back that has not started, or gives up a dead letter that keeps its key. `active`: a worker has it; `not_found`: it ended, died or never was. */
  async cancel(id: string): Promise<'cancelled' | 'active' | 'not_found'> {
    const { queue, place } = requireJobId(id)
    const [word] = await moveJobs(this.#reader, queue, 'cancel', [place])
    return word as 'cancelled' | 'active' | 'not_found'
  }

  /** Deletes jobs that no worker has. */
  async purge(filter: PurgeFilter): Promise<BulkResult> {
    return purgeJobs(this.#reader, filter)
  }

  /** What processes found that the server forgot, newest first. */
  async losses(): Promise<LossReport[]> {
    const found = await this.#reader.hash('losses')
    const reports = found.flatMap(([boot, text]) => {
      const byQueue = JSON.parse(text) as Record<string, StoredLoss>
      return Object.entries(byQueue).map(([queue, { lost, from, to, noticed, seen, by }]) => ({
        queue,
        lost,
        from: new Date(from),
        to: new Date(to),
        noticedAt: new Date(noticed),
        acknowledgedAt: seen === undefined ? undefined : new Date(seen),
        acknowledgedBy: by,
        boot,
      }))
    })
    return reports.toSorted((a, b) => b.noticedAt.getTime() - a.noticedAt.getTime())
  }

  /** Says that losses are known: they are no findings any more. Default: of all queues. Returns of how many reports that was news. */
  async acknowledgeLosses({ by, queue }: { readonly by: string; readonly queue?: string }): Promise<number> {
    if (queue !== undefined) requireQueueName(queue)
    return this.#reader.run<number>('acknowledge', [JSON.stringify({ q: queue, by })])
  }

  /** The workers that gave a sign of life lately. */
  async workers(): Promise<WorkerView[]> {
    const [found, seen] = await Promise.all([this.#reader.hash('workers'), this.#reader.workersSeen()])
    return found.map(([id, text]) => {
      const seenMs = seen.get(id)
      return {
        id,
        seenAt: seenMs === undefined ? undefined : new Date(seenMs),
        about: JSON.parse(text) as Record<string, unknown>,
      }
    })
  }
}

function asCounts(look: QueueLook, nowMs: number): QueueCounts {
  const { oldest, streams, sides, ...counts } = look
  const unread = (type: string) => (streams[`t${type}`]?.length ?? 0) - (streams[`t${type}`]?.pending ?? 0)
  const aside = Object.fromEntries(sides.map((type) => [type, unread(type)]).filter(([, count]) => count !== 0))
  return { ...counts, oldestWaitingMs: oldest === 0 ? undefined : Math.max(0, nowMs - oldest), aside }
}
