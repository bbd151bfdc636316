import { requireJobId } from '../job/job-id.ts'
import { UsageError } from './cli-error.ts'
import type { Context } from './context.ts'
import { EXIT, type ExitCode } from './exit-codes.ts'
import { parseTime } from './flag-values.ts'
import { formatCount, jobs } from './format.ts'
import { requireKnownQueue } from './known-queue.ts'

export interface RetryOptions {
  readonly allFailed?: boolean
  readonly queue?: string
  readonly type?: string
  readonly olderThan?: string
  readonly dryRun?: boolean
}

const ONE = {
  retried: 'starts anew',
  not_dead: 'is not dead: only dead letters are retried',
  not_found: 'does not exist, or has ended',
}

/** Starts one dead letter anew, or all of them. */
export async function retryJobs(context: Context, id: string | undefined, options: RetryOptions): Promise<ExitCode> {
  const { allFailed = false, queue, type, olderThan, dryRun = false } = options
  if ((id === undefined) !== allFailed) {
    throw new UsageError(
      'Give either the id of a job or --all-failed.',
      'moca queue retry JOB_ID, or moca queue retry --all-failed',
    )
  }
  if (id !== undefined) return retryOne(context, id, options)
  const age = parseTime('--older-than', olderThan)
  const { moved, skipped, keptKeys } = await context.withQueues(async ({ reader, inspector }) => {
    await requireKnownQueue(context, reader, queue)
    return inspector.retryAll({ queue, type, olderThan: age, dryRun })
  })
  const kept = keptKeys > 0 ? `, ${formatCount(keptKeys)} of which kept their keys` : ''
  context.output.result({ retried: moved, skipped, keptKeys, dryRun }, () =>
    dryRun ? `Would retry ${jobs(moved)}${kept}.` : `Retried ${jobs(moved)}${kept}.`,
  )
  return EXIT.fine
}

async function retryOne(
  context: Context,
  id: string,
  { queue, type, olderThan, dryRun }: RetryOptions,
): Promise<ExitCode> {
  if (queue ?? type ?? olderThan ?? dryRun) {
    throw new UsageError('--queue, --type, --older-than and --dry-run go with --all-failed.', `moca queue retry ${id}`)
  }
  requireJobId(id) // before a server is looked for
  const result = await context.withQueues(({ inspector }) => inspector.retry(id))
  context.output.result({ id, result }, () => `Job ${id} ${ONE[result]}.`)
  return result === 'retried' ? EXIT.fine : EXIT.problem
}
