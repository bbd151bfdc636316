import { silentLogger } from '../logger.ts'
import type { SinkPositions } from '../outbox/sinks/sink-positions.ts'
import { searchIndexesOf } from '../search-indexes.ts'
import { accountIndexes, type IndexesAccount, type IndexFinding } from '../verify/index-account.ts'
import { accountSchedules, type ScheduleAccount, type ScheduleFinding } from '../verify/schedule-account.ts'
import type { Finding } from '../verify/finding.ts'
import { accountOutbox, type OutboxAccount, type OutboxFinding } from '../verify/outbox-account.ts'
import { accountQueues, type QueueAccount } from '../verify/queue-account.ts'
import type { Context } from './context.ts'
import { describeFinding } from './describe-finding.ts'
import { EXIT, type ExitCode } from './exit-codes.ts'
import { parseInstant } from './flag-values.ts'
import { formatCount } from './format.ts'
import { tableOfIndexes } from './index-table.ts'
import { requireKnownQueue } from './known-queue.ts'
import { withOutboxIfAny } from './outbox-if-any.ts'
import { withSinks } from './outbox-sinks.ts'
import type { Output } from './output.ts'

export interface VerifyOptions {
  readonly queue?: string
  readonly since?: string
}

/**
 * Accounts for every job and for the fires of schedules; where there is a PostgreSQL, for everything that was recorded and for search
 * indexes, too.
 */
export async function verify(context: Context, { queue, since }: VerifyOptions): Promise<ExitCode> {
  const start = parseInstant('--since', since)
  const accounts = await withSinks(context, async (sinks, { reader }): Promise<Accounts> => {
    await requireKnownQueue(context, reader, queue)
    const { queues, findings } = await accountQueues(reader, queue === undefined ? {} : { queues: [queue] })
    if (queue !== undefined) return { queues, findings, outbox: undefined, search: undefined, schedules: undefined }
    const recorded = await accountRecorded(context, sinks, start)
    const schedules = await accountSchedules(reader, await reader.serverMs())
    const of = [{ findings }, recorded?.outbox, recorded?.search, schedules]
    return {
      queues,
      outbox: recorded?.outbox,
      search: recorded?.search,
      schedules,
      findings: of.flatMap((account): readonly AnyFinding[] => account?.findings ?? []),
    }
  })
  const { queues, outbox, search, schedules, findings } = accounts
  const isOk = findings.length === 0
  const json = {
    ok: isOk,
    queues,
    ...(outbox && { outbox: summaryOf(outbox) }),
    ...(search && { search: search.indexes }),
    ...(schedules && { schedules: sumsOf(schedules) }),
    findings,
  }
  context.output.result(json, () => describe(context.output, accounts))
  return isOk ? EXIT.fine : EXIT.problem
}

/** Undefined where there is no outbox. */
async function accountRecorded(
  context: Context,
  sinks: readonly SinkPositions[],
  since: Date | undefined,
): Promise<{ readonly outbox: OutboxAccount; readonly search: IndexesAccount } | undefined> {
  return withOutboxIfAny(context, 'moca verify', async (database, config) => {
    const { postgres, outbox } = config
    const { schema } = postgres
    return {
      outbox: await accountOutbox({ database, schema, sinks, retentionMs: outbox.retention.ageMs, since }),
      search: await accountIndexes(searchIndexesOf(config, database, silentLogger)),
    }
  })
}

function sumsOf({ due, fired, missed, doubled }: ScheduleAccount) {
  return { due, fired, missed, doubled }
}

function summaryOf({ lanes, parkedKeys, parkedRows }: OutboxAccount) {
  return { lanes, parkedKeys, parkedRows }
}

type AnyFinding = Finding | OutboxFinding | IndexFinding | ScheduleFinding

interface Accounts {
  readonly queues: readonly QueueAccount[]
  readonly outbox: OutboxAccount | undefined
  readonly search: IndexesAccount | undefined
  readonly schedules: ScheduleAccount | undefined
  readonly findings: readonly AnyFinding[]
}

function describe(output: Output, { queues, outbox, search, schedules, findings }: Accounts): string {
  const lines = [tableOfQueues(output, queues, findings)]
  if (outbox) lines.push('', describeOutbox(output, outbox))
  if (search && search.indexes.length > 0) lines.push('', tableOfIndexes(output, search.indexes))
  if (schedules && schedules.due > 0) {
    const { due, fired, missed } = schedules
    lines.push(
      '',
      `Schedules: ${formatCount(due)} instants looked at, ${formatCount(fired)} fired, ${formatCount(missed)} not, by policy.`,
    )
  }
  lines.push(...findings.flatMap((finding) => describeFinding(output, placeOf(finding), finding)))
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
  if ('index' in finding) {
    return `index ${finding.index}${finding.docname === undefined ? '' : `, document ${finding.docname}`}`
  }
  if ('queue' in finding) return finding.id ?? `queue ${finding.queue}`
  const { sink, lane, batch } = finding
  if (sink === undefined) return 'the outbox'
  return [
    `sink ${sink}`,
    ...(lane === undefined ? [] : [`lane ${lane}`]),
    ...(batch === undefined ? [] : [`batch ${batch}`]),
  ].join(', ')
}
