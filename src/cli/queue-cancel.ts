import { requireJobId } from '../job/job-id.ts'
import type { Context } from './context.ts'
import { EXIT, type ExitCode } from './exit-codes.ts'

const WORDS = {
  cancelled: 'was cancelled',
  active: 'is running: it is left alone',
  not_found:
    'does not exist, has ended, or is a dead letter without a key to let go (moca queue purge --status dead deletes dead letters)',
}

/** Takes one job back that has not started, or a dead letter that keeps its key. */
export async function cancelJob(context: Context, id: string): Promise<ExitCode> {
  requireJobId(id) // before a server is looked for
  const result = await context.withQueues(({ inspector }) => inspector.cancel(id))
  context.output.result({ id, result }, () => `Job ${id} ${WORDS[result]}.`)
  return result === 'cancelled' ? EXIT.fine : EXIT.problem
}
