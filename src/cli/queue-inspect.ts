import { requireJobId } from '../job/job-id.ts'
import type { JobView } from '../queue/inspector/job-view.ts'
import { NotFoundError } from './cli-error.ts'
import type { Context } from './context.ts'
import { EXIT, type ExitCode } from './exit-codes.ts'
import { formatDuration, jobs } from './format.ts'
import type { Output } from './output.ts'

const INDENT = ' '.repeat(12)

/** Everything that is known of one job. */
export async function inspectJob(context: Context, id: string): Promise<ExitCode> {
  requireJobId(id) // before a server is looked for
  const job = await context.withQueues(({ inspector }) => inspector.inspect(id))
  if (!job) {
    throw new NotFoundError(
      `There is no job ${id}.`,
      'It never was, was cancelled or purged, or ended and the history does not show it any more. moca queue list shows those that are there.',
    )
  }
  context.output.result(job, () => describe(context.output, job))
  return EXIT.fine
}

function describePayload({ payload }: JobView): string | undefined {
  return payload === undefined ? undefined : JSON.stringify(payload, undefined, 2).replaceAll('\n', `\n${INDENT}`)
}

function describeOverrides({ overrides }: JobView): string | undefined {
  if (!overrides) return undefined
  const said = Object.entries(overrides).map(([name, value]: [string, string | number]) =>
    name.endsWith('Ms') ? `${name.slice(0, -2)} ${formatDuration(Number(value))}` : `${name} ${value}`,
  )
  return said.join(', ')
}

function describeKept({ keepsKey, waitingBehind = 0 }: JobView): string | undefined {
  if (!keepsKey) return undefined
  const wait = waitingBehind === 1 ? 'waits' : 'wait'
  return `${jobs(waitingBehind)} behind it ${wait} until it is retried, cancelled or purged`
}

function describe(output: Output, job: JobView): string {
  const held = job.heldBy && `${job.heldBy}, lease renewed ${formatDuration(job.renewedMsAgo)} ago`
  const rescued = job.rescuedBy && `by ${job.rescuedBy} at ${job.rescuedAt?.toISOString()}`
  const ended = job.endedAt && `${job.endedAt.toISOString()} after ${formatDuration(job.durationMs)}`
  const facts: [string, string | undefined][] = [
    ['Job', job.id],
    ['Status', job.status],
    ['Type', job.type],
    ['Queue', job.queue],
    ['Key', job.key],
    ['Waits for', job.isBlocked ? `${job.waitsFor}, a dead letter that keeps the key` : job.waitsFor],
    ['Enqueued', job.enqueuedAt?.toISOString()],
    ['Due', job.dueAt?.toISOString()],
    ['Expires', job.expiresAt?.toISOString()],
    ['Ended', ended],
    ['Died', job.diedAt?.toISOString()],
    ['Reason', job.reason],
    ['Keeps key', describeKept(job)],
    ['Attempt', String(job.attempt)],
    ['Stalls', job.stalls > 0 ? String(job.stalls) : undefined],
    ['Handed back', job.releases > 0 ? String(job.releases) : undefined],
    ['Held by', held],
    ['Rescued', rescued],
    ['Overrides', describeOverrides(job)],
    ['Headers', Object.keys(job.headers).length > 0 ? JSON.stringify(job.headers) : undefined],
    ['Payload', describePayload(job)],
  ]
  const lines = facts.flatMap(([name, text]) =>
    text === undefined ? [] : [`${output.style('bold', name.padEnd(INDENT.length))}${text}`],
  )
  for (const { attempt, at, message, stack } of job.errors) {
    lines.push('', output.style('red', `Attempt ${attempt} failed at ${at.toISOString()}`), stack ?? message)
  }
  return lines.join('\n')
}
