import type { JobStatus, JobView } from '../queue/inspector/job-view.ts'
import type { Context } from './context.ts'
import { EXIT, type ExitCode } from './exit-codes.ts'
import { parseWhole } from './flag-values.ts'
import { formatDuration } from './format.ts'
import { requireKnownQueue } from './known-queue.ts'

export interface ListOptions {
  readonly queue?: string
  readonly status?: string
  readonly type?: string
  readonly limit?: string
  readonly cursor?: string
}

/** One page of jobs, in queue order. */
export async function listJobs(
  context: Context,
  { queue, status, type, limit, cursor }: ListOptions,
): Promise<ExitCode> {
  const most = parseWhole('--limit', limit, 1, 1_000)
  const filter = { queue, status: status as JobStatus | undefined, type, limit: most, cursor }
  const page = await context.withQueues(async ({ reader, inspector }) => {
    await requireKnownQueue(context, reader, queue)
    return inspector.list(filter)
  })
  const { output } = context
  output.result(page, () => {
    if (page.jobs.length === 0) return page.cursor === undefined ? 'No such jobs.' : 'None among the entries looked at.'
    return output.table(['ID', 'STATUS', 'TYPE', 'KEY', 'ATTEMPT', 'SINCE'], page.jobs.map(describe), 4)
  })
  if (!output.isJson && page.cursor !== undefined) output.note(`More: the same command with --cursor ${page.cursor}`)
  return EXIT.fine
}

function describe(job: JobView): string[] {
  const status = job.keepsKey ? `${job.status}, keeps key` : job.status
  return [job.id, status, job.type ?? '-', job.key ?? '-', String(job.attempt), since(job)]
}

// By this computer's clock: for a person that is good enough.
function since({ status, dueAt, diedAt, endedAt, enqueuedAt }: JobView): string {
  if (status === 'delayed' && dueAt)
    return dueAt.getTime() > Date.now() ? `due in ${formatDuration(dueAt.getTime() - Date.now())}` : 'due'
  const from = diedAt ?? endedAt ?? enqueuedAt
  return from ? formatDuration(Math.max(0, Date.now() - from.getTime())) : '-'
}
