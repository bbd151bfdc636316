import { OptionError } from '../../errors.ts'
import { requireQueueName } from '../../job/job-id.ts'
import { type JobSource, jobSources, type SourceFilter } from './job-source.ts'
import { JOB_STATUSES, type JobStatus, type JobView } from './job-view.ts'
import type { QueueReader } from './queue-reader.ts'
import { requireFilter } from './require-filter.ts'

const PAGE = 250
const MOST_SCANNED = 10_000
const MOST_LISTED = 1_000
const FILTERS = ['queue', 'status', 'type', 'limit', 'cursor'] as const satisfies readonly (keyof ListFilter)[]
const ENDED: readonly JobStatus[] = ['completed', 'cancelled', 'expired']

export interface ListFilter {
  /** Default: all queues. */
  readonly queue?: string | undefined
  /** Default: every status but the ended ones (completed, cancelled, expired). */
  readonly status?: JobStatus | undefined
  readonly type?: string | undefined
  /** Most jobs of a page, 1 to 1,000. Default 50. */
  readonly limit?: number | undefined
  /** What the page before returned. */
  readonly cursor?: string | undefined
}

export interface JobPage {
  readonly jobs: JobView[]
  /** For the next page, which may be empty; undefined at the end. */
  readonly cursor: string | undefined
}

interface Position {
  readonly queue: string
  readonly source: string
  readonly mark: string
}

/** Lists jobs in queue order. A page looks at no more than 10,000 entries: it may hold less than `limit` and still have a cursor. */
export async function listJobs(reader: QueueReader, filter: ListFilter): Promise<JobPage> {
  requireFilter('list', filter, FILTERS)
  const { type, limit = 50 } = filter
  if (!Number.isInteger(limit) || limit < 1 || limit > MOST_LISTED) {
    throw new OptionError(`limit must be a whole number from 1 to ${MOST_LISTED}; found ${limit}`, {
      option: 'limit',
      found: limit,
    })
  }
  const statuses = listedStatuses(filter.status)
  const fits = (job: JobView) => statuses.has(job.status) && (type === undefined || job.type === type)
  const start = filter.cursor === undefined ? undefined : decodeCursor(filter.cursor)
  if (start && filter.queue !== undefined && start.queue !== filter.queue) throw badCursor()
  const jobs: JobView[] = []
  let budget = MOST_SCANNED
  for await (const { queue, source, after } of sourcesFrom(reader, filter.queue, { statuses, type }, start)) {
    let mark = after
    do {
      const page = await source.page(mark, Math.max(1, Math.min(PAGE, budget)))
      for (const met of page.met) {
        if (!fits(met.job)) continue
        jobs.push(met.job)
        if (jobs.length === limit) return { jobs, cursor: encodeCursor({ queue, source: source.name, mark: met.mark }) }
      }
      mark = page.next
      budget -= page.scanned
      if (budget <= 0 && mark !== undefined) return { jobs, cursor: encodeCursor({ queue, source: source.name, mark }) }
    } while (mark !== undefined)
  }
  return { jobs, cursor: undefined }
}

async function* sourcesFrom(
  reader: QueueReader,
  queue: string | undefined,
  filter: SourceFilter,
  start: Position | undefined,
): AsyncGenerator<{ queue: string; source: JobSource; after: string | undefined }> {
  const queues = queue === undefined ? await reader.queues() : [requireQueueName(queue)]
  for (const name of queues) {
    if (start && name < start.queue) continue
    const { queues: looks } = await reader.look([name])
    const look = looks[name]
    if (!look) continue
    const sources = jobSources(reader, name, look, filter)
    const isStart = start?.queue === name
    const first = isStart ? sources.findIndex((source) => source.name === start.source) : 0
    if (first < 0) throw badCursor()
    for (const [index, source] of sources.slice(first).entries()) {
      yield { queue: name, source, after: isStart && index === 0 ? start.mark : undefined }
    }
  }
}

function listedStatuses(status: JobStatus | undefined): ReadonlySet<JobStatus> {
  if (status === undefined) return new Set(JOB_STATUSES.filter((name) => !ENDED.includes(name)))
  if (JOB_STATUSES.includes(status)) return new Set([status])
  throw new OptionError(`status must be one of ${JOB_STATUSES.join(', ')}; found ${JSON.stringify(status)}`, {
    option: 'status',
    found: status,
  })
}

function encodeCursor({ queue, source, mark }: Position): string {
  return Buffer.from(JSON.stringify([queue, source, mark])).toString('base64url')
}

function decodeCursor(cursor: string): Position {
  try {
    const [queue, source, mark] = JSON.parse(Buffer.from(cursor, 'base64url').toString()) as unknown[]
    if (typeof queue === 'string' && typeof source === 'string' && typeof mark === 'string')
      return { queue, source, mark }
  } catch {
    // Refused below, like any other text that is no cursor.
  }
  throw badCursor()
}

function badCursor(): OptionError {
  return new OptionError(
    'This cursor does not belong to this listing. Use the one that the page before returned, with the same filters.',
    {
      option: 'cursor',
    },
  )
}
