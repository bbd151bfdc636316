import { OptionError } from '../../errors.ts'
import { type Duration, parseDuration } from '../../job/duration.ts'
import { parseJobId, requireQueueName } from '../../job/job-id.ts'
import { isLater, type JobSource, jobSources, type SourceFilter } from './job-source.ts'
import type { JobStatus, JobView } from './job-view.ts'
import type { QueueReader } from './queue-reader.ts'
import { requireFilter } from './require-filter.ts'

const PAGE = 250
const BULK_FILTERS: readonly string[] = ['queue', 'type', 'dryRun', 'signal'] satisfies (keyof BulkFilter)[]

export interface BulkFilter {
  /** Default: all queues. */
  readonly queue?: string | undefined
  readonly type?: string | undefined
  /** Only count what would be moved. */
  readonly dryRun?: boolean | undefined
  readonly signal?: AbortSignal | undefined
}

export interface RetryFilter extends BulkFilter {
  /** Only dead letters that died so long ago. */
  readonly olderThan?: Duration | undefined
}

export type PurgeStatus = (typeof PURGE_STATUSES)[number]
export const PURGE_STATUSES = ['waiting', 'delayed', 'gated', 'dead'] as const satisfies readonly JobStatus[]

export interface PurgeFilter extends BulkFilter {
  /** Default: all of them. Active jobs are never purged. */
  readonly status?: PurgeStatus | undefined
}

export interface BulkResult {
  /** Jobs that were moved; with `dryRun`, that would be. */
  readonly moved: number
  /** Jobs that had gone elsewhere, e.g. to a worker, before their turn came. */
  readonly skipped: number
  /** Dead letters among those met that kept their keys: what waits behind them goes on, at once or (retry) after them. */
  readonly keptKeys: number
}

export type MoveWord = 'cancelled' | 'retried' | 'purged' | 'active' | 'not_dead' | 'not_found'

/** Moves single jobs; says of each what became of it. */
export function moveJobs(
  reader: QueueReader,
  queue: string,
  to: 'retry' | 'cancel' | 'purge',
  places: readonly string[],
): Promise<MoveWord[]> {
  return reader.run<MoveWord[]>('move', [JSON.stringify({ q: queue, to, n: places.length }), ...places])
}

/** Starts dead letters anew, oldest first. Those that die while this runs are left. */
export async function retryDead(reader: QueueReader, filter: RetryFilter): Promise<BulkResult> {
  requireFilter('retryAll', filter, [...BULK_FILTERS, 'olderThan'])
  const olderThanMs = filter.olderThan === undefined ? 0 : parseDuration(filter.olderThan, 'olderThan')
  const diedUntilMs = (await reader.serverMs()) - olderThanMs
  return moveAll(reader, 'retry', filter, { statuses: new Set(['dead']), type: filter.type, diedUntilMs })
}

/** Deletes jobs that no worker has. Jobs that are accepted while this runs are left. */
export async function purgeJobs(reader: QueueReader, filter: PurgeFilter): Promise<BulkResult> {
  requireFilter('purge', filter, [...BULK_FILTERS, 'status'])
  // { queue: process.env.QUEUE } must not empty every queue where the variable is not set.
  if ('queue' in filter && filter.queue === undefined) {
    throw new OptionError('purge: queue is undefined; leave it out to purge all queues', { option: 'queue' })
  }
  if (filter.status !== undefined && !PURGE_STATUSES.includes(filter.status)) {
    throw new OptionError(
      `Only jobs that are ${PURGE_STATUSES.join(', ')} can be purged; found ${JSON.stringify(filter.status)}`,
      {
        option: 'status',
        found: filter.status,
      },
    )
  }
  const statuses = new Set<JobStatus>(filter.status === undefined ? PURGE_STATUSES : [filter.status])
  return moveAll(reader, 'purge', filter, { statuses, type: filter.type })
}

async function moveAll(
  reader: QueueReader,
  to: 'retry' | 'purge',
  { queue, dryRun = false, signal }: BulkFilter,
  filter: SourceFilter,
): Promise<BulkResult> {
  const result = { moved: 0, skipped: 0, keptKeys: 0 }
  const queues = queue === undefined ? await reader.queues() : [requireQueueName(queue)]
  const { queues: looks } = await reader.look(queues)
  for (const [name, look] of Object.entries(looks)) {
    // In reverse: a job that is let through by the purge of another one lands in a place that is still to come. Before dead letters come
    // those that wait for their keys.
    const sources = jobSources(reader, name, look, filter)
      .toReversed()
      .toSorted((a, b) => rankOf(a) - rankOf(b))
    const ends = await endsOf(reader, name, sources)
    for (const source of sources) {
      for await (const jobs of jobsIn(source, filter, ends.get(source.name), signal)) {
        const places = jobs.map(({ id }) => parseJobId(id)?.place ?? '')
        const words = dryRun ? undefined : await moveJobs(reader, name, to, places)
        const moved = words ? words.filter((word) => word === 'retried' || word === 'purged').length : places.length
        result.moved += moved
        result.skipped += places.length - moved
        result.keptKeys += jobs.filter(({ keepsKey }) => keepsKey).length
      }
    }
  }
  return result
}

/** The last entry of each stream: what comes later was accepted, or let through, after the call. */
async function endsOf(reader: QueueReader, queue: string, sources: readonly JobSource[]): Promise<Map<string, string>> {
  const ends = new Map<string, string>()
  for (const { name, letter } of sources) {
    if (letter !== undefined) ends.set(name, (await reader.lastEntry(queue, letter)) ?? '0-0')
  }
  return ends
}

function rankOf({ name }: JobSource): number {
  return name === 'gated' ? 0 : 1
}

async function* jobsIn(
  source: JobSource,
  { statuses, type }: SourceFilter,
  end: string | undefined,
  signal: AbortSignal | undefined,
): AsyncGenerator<JobView[]> {
  const isBeyond = (mark: string) => end !== undefined && isLater(mark, end)
  let mark: string | undefined
  do {
    signal?.throwIfAborted()
    const page = await source.page(mark, PAGE)
    const wanted = page.met.filter(
      (met) => statuses.has(met.job.status) && (type === undefined || met.job.type === type),
    )
    const jobs = wanted.filter((met) => !isBeyond(met.mark)).map(({ job }) => job)
    if (jobs.length > 0) yield jobs
    mark = page.next
  } while (mark !== undefined && !isBeyond(mark))
}
