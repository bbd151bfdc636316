import { SchemaError } from '../errors.ts'
import { requireSchema } from '../outbox/migrations.ts'
import type { SinkPositions } from '../outbox/sinks/sink-positions.ts'
import { accountSchedules, type ScheduleAccount, type ScheduleFinding } from '../verify/schedule-account.ts'
import type { Finding } from '../verify/finding.ts'
import { accountOutbox, type OutboxAccount, type OutboxFinding } from '../verify/outbox-account.ts'
import { accountQueues, type QueueAccount } from '../verify/queue-account.ts'
import type { Context } from './context.ts'
import { EXIT, type ExitCode } from './exit-codes.ts'
import { parseInstant } from './flag-values.ts'
import { formatCount } from './format.ts'
import { requireKnownQueue } from './known-queue.ts'
import { withSinks } from './outbox-sinks.ts'
import type { Output } from './output.ts'

export interface VerifyOptions {
  readonly queue?: string
  readonly since?: string
}

/** Accounts for every job, for the fires of schedules, and for everything that was recorded, where there is a PostgreSQL. */
export async function verify(context: Context, { queue, since }: VerifyOptions): Promise<ExitCode> {
  const start = parseInstant('--since', since)
  const { queues, outbox, schedules, findings } = await withSinks(context, async (sinks, { reader }) => {
    await requireKnownQueue(context, reader, queue)
    const account = await accountQueues(reader, queue === undefined ? {} : { queues: [queue] })
    const recorded = queue === undefined ? await accountRecorded(context, sinks, start) : undefined
    const schedules = queue === undefined ? await accountSchedules(reader, await reader.serverMs()) : undefined
    const findings = [...account.findings, ...(recorded?.findings ?? []), ...(schedules?.findings ?? [])]
    return { queues: account.queues, outbox: recorded, schedules, findings }
  })
  const isOk = findings.length === 0
  const json = {
    ok: isOk,
    queues,
    ...(outbox && { outbox: summaryOf(outbox) }),
    ...(schedules && { schedules: sumsOf(schedules) }),
    findings,
  }
  context.output.result(json, () => describe(context.output, { queues, outbox, schedules, findings }))
  return isOk ? EXIT.fine : EXIT.problem
}

/** Undefined where there is no outbox. */
async function accountRecorded(
  context: Context,
  sinks: readonly SinkPositions[],
  since: Date | undefined,
): Promise<OutboxAccount | undefined> {
  const { namespace, postgres, outbox } = await context.config()
  if (postgres.url === undefined) return undefined
  const { schema } = postgres
  return context.withDatabase('moca verify', async (database) => {
    try {
      await requireSchema(database, { schema, namespace })
    } catch (error) {
      // The application's own database, in which Moca has nothing.
      if (!(error instanceof SchemaError) || error.facts.problem !== 'missing') throw error
      context.output.note(`No outbox is looked at: ${error.message}`)
      return undefined
    }
    return accountOutbox({ database, schema, sinks, retentionMs: outbox.retention.ageMs, since })
  })
}

function sumsOf({ due, fired, missed, doubled }: ScheduleAccount) {
  return { due, fired, missed, doubled }
}

function summaryOf({ lanes, parkedKeys, parkedRows }: OutboxAccount) {
  return { lanes, parkedKeys, parkedRows }
}

type AnyFinding = Finding | OutboxFinding | ScheduleFinding

interface Accounts {
  readonly queues: readonly QueueAccount[]
  readonly outbox: OutboxAccount | undefined
  readonly schedules: ScheduleAccount | undefined
  readonly findings: readonly AnyFinding[]
}

function describe(output: Output, { queues, outbox, schedules, findings }: Accounts): string {
  const lines = [tableOfQueues(output, queues, findings)]
  if (outbox) lines.push('', describeOutbox(output, outbox))
  if (schedules && schedules.due > 0) {
    const { due, fired, missed } = schedules
    lines.push(
      '',
      `Schedules: ${formatCount(due)} instants looked at, ${formatCount(fired)} fired, ${formatCount(missed)} not, by policy.`,
    )
  }
  for (const finding of findings) {
    const { kind, expected, found, fix } = finding
    lines.push(
      '',
      `${output.style('red', kind)}  ${placeOf(finding)}`,
      `  expected  ${expected}`,
      `  found     ${found}`,
      `  fix       ${fix}`,
    )
  }
  const everything = outbox
    ? 'Every accepted job and every recorded row is accounted for.'
    : 'Every accepted job is accounted for.'
  lines.push('', findings.length === 0 ? everything : `${formatCount(findings.length)} findings.`)
  return lines.join('\n')
}

function tableOfQueues(output: Output, queues: readonly QueueAccount[], findings: readonly AnyFinding[]): string {
  const rows = queues.map(({ queue, accepted, accounted, walked }) => {
    const wrong = findings.filter((finding) => 'queue' in finding && finding.queue === queue).length
    return [queue, verdict(output, wrong), formatCount(accepted), formatCount(accounted), formatCount(walked)]
  })
  return output.table(['QUEUE', '', 'ACCEPTED', 'ACCOUNTED FOR', 'WALKED OVER'], rows, 2)
}

function describeOutbox(output: Output, { lanes, parkedKeys, parkedRows, findings }: OutboxAccount): string {
  if (lanes.length === 0) return 'Outbox: no relay has ever run.'
  const rows = [...Map.groupBy(lanes, ({ sink }) => sink)].map(([sink, own]) => {
    const sum = (count: (lane: (typeof own)[number]) => number) =>
      formatCount(own.reduce((total, lane) => total + count(lane), 0))
    const wrong = findings.filter((finding) => finding.sink === sink).length
    return [
      sink,
      verdict(output, wrong),
      sum(({ batches }) => batches),
      sum((lane) => lane.rows),
      sum(({ waiting }) => waiting),
    ]
  })
  const table = output.table(['SINK', '', 'BATCHES READ AGAIN', 'ROWS', 'WAITING'], rows, 2)
  if (parkedKeys === 0) return table
  return `${table}\n${formatCount(parkedKeys)} parked keys hold back ${formatCount(parkedRows)} rows: moca outbox status --parked`
}

function verdict(output: Output, wrong: number): string {
  return wrong === 0 ? output.style('green', 'ok') : output.style('red', `${formatCount(wrong)} wrong`)
}

function placeOf(finding: AnyFinding): string {
  if ('schedule' in finding) return `schedule ${finding.schedule}`
  if ('queue' in finding) return finding.id ?? `queue ${finding.queue}`
  const { sink, lane, batch } = finding
  if (sink === undefined) return 'the outbox'
  return [
    `sink ${sink}`,
    ...(lane === undefined ? [] : [`lane ${lane}`]),
    ...(batch === undefined ? [] : [`batch ${batch}`]),
  ].join(', ')
}
