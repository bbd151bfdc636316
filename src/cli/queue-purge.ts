import type { BulkResult, PurgeFilter, PurgeStatus } from '../queue/inspector/bulk-move.ts'
import { UsageError } from './cli-error.ts'
import { confirm } from './confirm.ts'
import type { Context } from './context.ts'
import { EXIT, type ExitCode } from './exit-codes.ts'
import { formatCount, jobs } from './format.ts'
import { requireKnownQueue } from './known-queue.ts'

export interface PurgeOptions {
  readonly queue?: string
  readonly all?: boolean
  readonly type?: string
  readonly status?: string
  readonly force?: boolean
  readonly dryRun?: boolean
}

/** Deletes jobs that no worker has. */
export async function purgeJobs(context: Context, options: PurgeOptions): Promise<ExitCode> {
  const { queue, all = false, type, status, force = false, dryRun = false } = options
  if ((queue === undefined) !== all) {
    throw new UsageError(
      'Say what to purge: --queue QUEUE, or --all for every queue.',
      'moca queue purge --queue default --dry-run shows what would go',
    )
  }
  const place = queue === undefined ? {} : { queue }
  const filter: PurgeFilter = { ...place, type, status: status as PurgeStatus | undefined }
  const { output } = context
  return context.withQueues(async ({ reader, inspector }) => {
    await requireKnownQueue(context, reader, queue)
    const expected = await inspector.purge({ ...filter, dryRun: true })
    if (dryRun || expected.moved === 0) {
      output.result(
        { purged: expected.moved, skipped: 0, keptKeys: expected.keptKeys, dryRun },
        () => `${dryRun ? 'Would purge' : 'Purged'} ${jobs(expected.moved)}.${describeKeys(expected)}`,
      )
      return EXIT.fine
    }
    const what = `${jobs(expected.moved)}${status === undefined ? '' : ` (${status})`}${type === undefined ? '' : ` of type ${type}`}`
    const where = queue === undefined ? 'ALL queues' : `queue ${queue}`
    if (!(await confirm(`Purge ${what} of ${where}? They cannot be brought back.${describeKeys(expected)}`, force))) {
      output.result({ purged: 0, skipped: 0, keptKeys: 0, dryRun }, () => 'Nothing was purged.')
      return EXIT.problem
    }
    const { moved, skipped, keptKeys } = await inspector.purge(filter)
    output.result(
      { purged: moved, skipped, keptKeys, dryRun },
      () => `Purged ${jobs(moved)}.${skipped > 0 ? ` ${jobs(skipped)} had gone to a worker meanwhile.` : ''}`,
    )
    return EXIT.fine
  })
}

/** Whoever purges dead letters that kept their keys starts what waits behind them. */
function describeKeys({ keptKeys }: BulkResult): string {
  const keep = keptKeys === 1 ? 'keeps' : 'keep'
  return keptKeys === 0 ? '' : ` ${formatCount(keptKeys)} of them ${keep} a key, whose next job runs then.`
}
