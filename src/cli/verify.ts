import type { Finding } from '../verify/finding.ts'
import { accountQueues, type QueueAccount } from '../verify/queue-account.ts'
import type { Context } from './context.ts'
import { EXIT, type ExitCode } from './exit-codes.ts'
import { formatCount } from './format.ts'
import { requireKnownQueue } from './known-queue.ts'
import type { Output } from './output.ts'

export interface VerifyOptions {
  readonly queue?: string
}

/** Accounts for every job. */
export async function verify(context: Context, { queue }: VerifyOptions): Promise<ExitCode> {
  const { queues, findings } = await context.withQueues(async ({ reader }) => {
    await requireKnownQueue(context, reader, queue)
    return accountQueues(reader, queue === undefined ? {} : { queues: [queue] })
  })
  const isOk = findings.length === 0
  context.output.result({ ok: isOk, queues, findings }, () => describe(context.output, queues, findings))
  return isOk ? EXIT.fine : EXIT.problem
}

function describe(output: Output, queues: readonly QueueAccount[], findings: readonly Finding[]): string {
  const rows = queues.map(({ queue, accepted, accounted, walked }) => {
    const wrong = findings.filter((finding) => finding.queue === queue).length
    const verdict = wrong === 0 ? output.style('green', 'ok') : output.style('red', `${formatCount(wrong)} wrong`)
    return [queue, verdict, formatCount(accepted), formatCount(accounted), formatCount(walked)]
  })
  const lines = [output.table(['QUEUE', '', 'ACCEPTED', 'ACCOUNTED FOR', 'WALKED OVER'], rows, 2)]
  for (const { kind, queue, id, expected, found, fix } of findings) {
    lines.push(
      '',
      `${output.style('red', kind)}  ${id ?? `queue ${queue}`}`,
      `  expected  ${expected}`,
      `  found     ${found}`,
      `  fix       ${fix}`,
    )
  }
  lines.push(
    '',
    findings.length === 0 ? 'Every accepted job is accounted for.' : `${formatCount(findings.length)} findings.`,
  )
  return lines.join('\n')
}
