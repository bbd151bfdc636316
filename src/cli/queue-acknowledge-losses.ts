import type { Context } from './context.ts'
import { EXIT, type ExitCode } from './exit-codes.ts'
import { requireKnownQueue } from './known-queue.ts'
import { operatorName } from './operator.ts'

export interface AcknowledgeOptions {
  readonly queue?: string
}

/** Says that somebody knows what Redis forgot: it is no finding of verify, status and doctor any more. */
export async function acknowledgeLosses(context: Context, { queue }: AcknowledgeOptions): Promise<ExitCode> {
  const acknowledged = await context.withQueues(async ({ reader, inspector }) => {
    await requireKnownQueue(context, reader, queue)
    return inspector.acknowledgeLosses({ by: operatorName(), ...(queue !== undefined && { queue }) })
  })
  context.output.result({ acknowledged }, () =>
    acknowledged === 0
      ? 'There was nothing that nobody had acknowledged.'
      : `Acknowledged ${acknowledged} ${acknowledged === 1 ? 'report' : 'reports'} of what Redis forgot: moca queue status --json still shows them.`,
  )
  return EXIT.fine
}
