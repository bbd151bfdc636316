import { systemClock } from '../clock.ts'
import type { MocaConfig } from '../config/config.ts'
import type { OutboxStatus, SinkStatus } from '../outbox/outbox-status.ts'
import type { IndexStatus } from '../search/index-status.ts'
import {
  Overview,
  type OverviewLook,
  type SchedulesStatus,
  type ServerStatus,
  type SubscriptionStatus,
} from '../status/overview.ts'
import { explain } from './cli-error.ts'
import type { Context } from './context.ts'
import { EXIT, type ExitCode } from './exit-codes.ts'
import { formatCount, formatDuration } from './format.ts'
import type { Output } from './output.ts'
import { stopSignal } from './stop-signal.ts'

export interface OverviewOptions {
  readonly watch?: boolean
}

const WATCH_MS = 1_000
const CLEAR = '\u001b[H\u001b[2J'
/** Lines of each kind: it is one screen. */
const MOST_QUEUES = 6
const MOST_SUBSCRIPTIONS = 5
const MOST_NAMES = 3
const MOST_INDEXES = 4

/** The deployment on one screen. */
export async function showOverview(context: Context, { watch = false }: OverviewOptions): Promise<ExitCode> {
  const config = await context.config()
  const overview = new Overview(config)
  try {
    if (watch) return await watchIt(context, config, overview)
    const look = await overview.look()
    show(context.output, config, look, '')
    return look.servers.some(({ error }) => error !== undefined) ? EXIT.unreachable : EXIT.fine
  } finally {
    await overview.close()
  }
}

async function watchIt({ output }: Context, config: MocaConfig, overview: Overview): Promise<ExitCode> {
  const before = process.stdout.isTTY && !output.isJson ? CLEAR : ''
  const stop = stopSignal()
  while (!stop.aborted) {
    show(output, config, await overview.look(), before)
    await systemClock.wait(WATCH_MS, stop)
  }
  return EXIT.fine
}

function show(output: Output, { namespace }: MocaConfig, look: OverviewLook, before: string): void {
  const at = new Date()
  const { servers, outboxError, ...rest } = look
  const json = {
    namespace,
    at,
    servers: servers.map(({ error, ...server }) => ({
      ...server,
      ...(error !== undefined && { error: reasonOf(error) }),
    })),
    ...rest,
    ...(outboxError !== undefined && { outboxError: reasonOf(outboxError) }),
  }
  output.result(
    json,
    () => before + [`Namespace ${namespace}, ${at.toISOString()}`, '', ...describe(output, look)].join('\n'),
  )
}

function describe(output: Output, look: OverviewLook): string[] {
  const { servers, workers, queues, losses, schedules, outbox, outboxError, search = [], subscriptions = [] } = look
  const lines = servers.map((server) => describeServer(output, server))
  if (workers) {
    const names = workers.map(
      ({ id, about }) => `${id} (${Array.isArray(about.queues) ? about.queues.join(', ') : '?'})`,
    )
    lines.push(line('Workers', listOf(output, names)))
  }
  if (outbox)
    lines.push(
      line(
        'Relays',
        listOf(
          output,
          outbox.relays.map(({ id }) => id),
        ),
      ),
    )
  if (schedules && schedules.count > 0) lines.push(line('Schedules', describeSchedules(output, schedules)))
  if (queues) lines.push('', ...describeQueues(output, queues), '')
  if (outboxError !== undefined) lines.push(line('Outbox', output.style('red', reasonOf(outboxError))))
  if (outbox) lines.push(...describeOutbox(output, outbox))
  for (const index of search.slice(0, MOST_INDEXES)) lines.push(line('Search', describeIndex(output, index)))
  if (losses) {
    const open = losses.filter(({ acknowledgedAt }) => acknowledgedAt === undefined)
    const lost = open.reduce((sum, each) => sum + each.lost, 0)
    const text = `Redis forgot at least ${formatCount(lost)} jobs: moca queue status`
    lines.push(line('Lost jobs', lost === 0 ? 'none' : output.style('red', text)))
  }
  if (subscriptions.length > 0) lines.push('', ...describeSubscriptions(output, subscriptions))
  return lines
}

function line(label: string, text: string): string {
  return `${label.padEnd(13)}${text}`
}

function listOf(output: Output, names: readonly string[]): string {
  if (names.length === 0) return output.style('yellow', 'none')
  const more = names.length - MOST_NAMES
  return `${names.length}: ${names.slice(0, MOST_NAMES).join(', ')}${more > 0 ? ` and ${more} more` : ''}`
}

function describeServer(output: Output, { server, at, version, error }: ServerStatus): string {
  const label = server === 'redis' ? 'Redis' : 'PostgreSQL'
  return line(label, error === undefined ? `${version ?? ''} at ${at}`.trim() : output.style('red', reasonOf(error)))
}

function describeSchedules(output: Output, { count, disabled, leader }: SchedulesStatus): string {
  const schedules = `${formatCount(count)}${disabled === 0 ? '' : `, ${formatCount(disabled)} of them disabled`}`
  const nobody = output.style(count > disabled ? 'red' : 'yellow', 'no scheduler leads: nothing fires')
  return `${schedules}; ${leader === undefined ? nobody : `scheduler ${leader} leads`}`
}

function describeQueues(output: Output, queues: NonNullable<OverviewLook['queues']>): string[] {
  const used = Object.entries(queues)
  if (used.length === 0) return ['No queue ever had a job or a worker.']
  const open = ([, { waiting, active, delayed, gated, dead }]: (typeof used)[number]) =>
    waiting + active + delayed + gated + dead
  const shown = used.toSorted((a, b) => open(b) - open(a)).slice(0, MOST_QUEUES)
  const rows = shown.map(([queue, count]) => [
    queue,
    formatCount(count.waiting),
    formatCount(count.active),
    formatCount(count.delayed),
    formatCount(count.gated),
    count.dead > 0 ? output.style('red', formatCount(count.dead)) : '0',
    formatDuration(count.oldestWaitingMs),
  ])
  const head = ['QUEUE', 'WAITING', 'ACTIVE', 'DELAYED', 'GATED', 'DEAD', 'OLDEST WAITING']
  const more = used.length - shown.length
  return [output.table(head, rows), ...(more > 0 ? [`and ${more} more with no more jobs: moca queue status`] : [])]
}

function describeOutbox(output: Output, { isHome, sinks }: OutboxStatus): string[] {
  if (!isHome) return [line('Outbox', output.style('red', 'copied to another PostgreSQL: nothing is relayed'))]
  if (sinks.length === 0) return [line('Outbox', output.style('yellow', 'nobody has ever relayed'))]
  const parked = sinks.reduce((sum, sink) => sum + sink.parkedKeys, 0)
  return [
    ...sinks.map((sink) => line('Outbox', describeSink(output, sink))),
    line(
      'Parked keys',
      parked === 0 ? 'none' : output.style('red', `${formatCount(parked)}: moca outbox status --parked`),
    ),
  ]
}

function describeSink(
  output: Output,
  { sink, waiting, oldestWaitingMs, lanes, lanesWithoutOwner }: SinkStatus,
): string {
  const rows =
    waiting === 0
      ? 'everything is relayed'
      : `${formatCount(waiting)} ${waiting === 1 ? 'row waits' : 'rows wait'}, the oldest for ${formatDuration(oldestWaitingMs)}`
  const standing = lanes.filter(({ standstill }) => standstill).length
  const troubles = [
    ...(lanesWithoutOwner.length > 0 ? [`${lanesWithoutOwner.length} of ${lanes.length} lanes have no owner`] : []),
    ...(standing > 0
      ? [`${standing} ${standing === 1 ? 'lane stands' : 'lanes stand'} still: moca outbox status`]
      : []),
  ]
  return [`${sink}: ${rows}`, ...troubles.map((text) => output.style('red', text))].join('; ')
}

function describeIndex(output: Output, { index, live, rebuild, standstill }: IndexStatus): string {
  const standing = standstill && 'stands still: moca search status'
  if (!live && standing && !rebuild) return `${index}: not built, ${output.style('red', standing)}`
  if (!live) return `${index}: ${output.style('yellow', rebuild ? 'being built' : 'not built: moca search sync')}`
  const { documents, waiting, oldestWaitingMs, owner, parkedCount } = live
  const behind =
    waiting === 0 ? 'level' : `${formatCount(waiting)} behind, the oldest for ${formatDuration(oldestWaitingMs)}`
  const troubles = [
    ...(standing ? [standing] : owner === undefined ? ['nobody keeps it'] : []),
    ...(parkedCount > 0 ? [`${formatCount(parkedCount)} parked: moca search status`] : []),
  ]
  const text = `${index}: ${formatCount(documents)} documents, ${behind}${rebuild ? ', being rebuilt' : ''}`
  return [text, ...troubles.map((trouble) => output.style('red', trouble))].join('; ')
}

function describeSubscriptions(output: Output, subscriptions: readonly SubscriptionStatus[]): string[] {
  const behind = ({ behindAtMostMs = 0 }: SubscriptionStatus) => behindAtMostMs
  const shown = subscriptions.toSorted((a, b) => behind(b) - behind(a)).slice(0, MOST_SUBSCRIPTIONS)
  const rows = shown.map(({ name, topics, queue, behindAtMostMs }) => [
    name,
    topics.join(', '),
    queue,
    formatDuration(behindAtMostMs),
  ])
  const more = subscriptions.length - shown.length
  return [
    output.table(['SUBSCRIPTION', 'TOPICS', 'QUEUE', 'BEHIND AT MOST'], rows, 3),
    ...(more > 0 ? [`and ${more} more`] : []),
  ]
}

function reasonOf(error: unknown): string {
  return explain(error, undefined).error
}
