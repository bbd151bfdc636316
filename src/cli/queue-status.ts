import { systemClock } from '../clock.ts'
import { ConnectionError } from '../errors.ts'
import type { LossReport, QueueCounts, WorkerView } from '../queue/inspector/inspector.ts'
import { readSyncView, SYNC_QUEUE, type SyncView } from '../search/index-status.ts'
import type { Context, QueueAccess } from './context.ts'
import { EXIT, type ExitCode } from './exit-codes.ts'
import { formatCount, formatDuration, jobs } from './format.ts'
import { requireKnownQueue } from './known-queue.ts'
import type { Output } from './output.ts'
import { stopSignal } from './stop-signal.ts'

export interface StatusOptions {
  readonly watch?: boolean
  readonly queue?: string
}

const WATCH_MS = 1_000
const CLEAR = '\u001b[H\u001b[2J'

/** What stands where, in every queue. */
export async function showStatus(context: Context, { watch = false, queue }: StatusOptions): Promise<ExitCode> {
  if (!watch) {
    await context.withQueues((access) => showOnce(context, access, queue, ''))
    return EXIT.fine
  }
  const stop = stopSignal()
  while (!stop.aborted) await watchConnected(context, queue, stop)
  return EXIT.fine
}

/** Until the signal, or until the server goes away: then it says so, and the caller tries again. */
async function watchConnected(context: Context, queue: string | undefined, stop: AbortSignal): Promise<void> {
  const { output } = context
  const before = process.stdout.isTTY && !output.isJson ? CLEAR : ''
  try {
    await context.withQueues(async (access) => {
      while (!stop.aborted) {
        await showOnce(context, access, queue, before)
        await systemClock.wait(WATCH_MS, stop)
      }
    })
  } catch (error) {
    if (!(error instanceof ConnectionError)) throw error
    output.note(`Waiting for Redis: ${error.message}`)
    await systemClock.wait(WATCH_MS, stop)
  }
}

async function showOnce(
  context: Context,
  { reader, inspector }: QueueAccess,
  only: string | undefined,
  before: string,
): Promise<void> {
  await requireKnownQueue(context, reader, only)
  const { namespace } = await context.config()
  const names = only === undefined ? undefined : [only]
  const [counts, workers, allLosses] = await Promise.all([
    inspector.counts(names),
    inspector.workers(),
    inspector.losses(),
  ])
  const losses = allLosses.filter(({ queue }) => only === undefined || queue === only)
  const sync = only === undefined ? await readSync(context) : undefined
  const queues = Object.entries(counts).map(([queue, count]) => ({ queue, ...count }))
  const json = { namespace, at: new Date(), queues, workers, losses, ...(sync && { [SYNC_QUEUE]: sync }) }
  context.output.result(json, () => {
    return before + describeStatus(context.output, namespace, { counts, workers, losses, sync })
  })
}

/** Updates of search indexes are shown beside the queues. Undefined: there are none, or PostgreSQL cannot be asked. */
async function readSync(context: Context): Promise<SyncView | undefined> {
  const { apps, postgres } = await context.config()
  if (postgres.url === undefined || !apps.some(({ doctypes }) => doctypes.some(({ search }) => search)))
    return undefined
  try {
    const { withIndexes } = await import('./search-access.ts')
    return await withIndexes(context, 'moca queue status', readSyncView)
  } catch (error) {
    context.output.note(`${SYNC_QUEUE} is left out: ${error instanceof Error ? error.message : String(error)}`)
    return undefined
  }
}

interface Shown {
  readonly counts: Readonly<Record<string, QueueCounts>>
  readonly workers: readonly WorkerView[]
  readonly losses: readonly LossReport[]
  readonly sync: SyncView | undefined
}

function describeStatus(output: Output, namespace: string, { counts, workers, losses, sync }: Shown): string {
  const rows: string[][] = Object.entries(counts).map(([queue, count]) => [
    queue,
    formatCount(count.waiting),
    formatCount(count.active),
    formatCount(count.delayed),
    formatCount(count.gated),
    count.dead > 0 ? output.style('red', formatCount(count.dead)) : '0',
    formatCount(count.completed),
    formatCount(count.accepted),
    formatDuration(count.oldestWaitingMs),
  ])
  if (sync) {
    const { waiting, parked, oldestWaitingMs } = sync
    const dead = parked > 0 ? output.style('red', formatCount(parked)) : '0'
    rows.push([SYNC_QUEUE, formatCount(waiting), '-', '-', '-', dead, '-', '-', formatDuration(oldestWaitingMs)])
  }
  const head = ['QUEUE', 'WAITING', 'ACTIVE', 'DELAYED', 'GATED', 'DEAD', 'COMPLETED', 'ACCEPTED', 'OLDEST WAITING']
  const lines = [
    rows.length > 0 ? output.table(head, rows) : `No queue of namespace ${namespace} ever had a job or a worker.`,
  ]
  lines.push(
    '',
    `Workers: ${workers.length === 0 ? output.style('yellow', 'none') : workers.map(({ id }) => id).join(', ')}`,
  )
  if (sync) {
    const rate = `${formatCount(sync.indexedLastMinute)} documents in the last minute`
    const parked = sync.parked === 0 ? '' : `; ${formatCount(sync.parked)} cannot be indexed`
    lines.push(`${SYNC_QUEUE}: ${rate}${parked} (moca search status)`)
  }
  for (const [queue, { aside }] of Object.entries(counts)) {
    for (const [type, count] of Object.entries(aside)) {
      lines.push(
        output.style(
          'yellow',
          `${queue}: ${jobs(count)} of type ${type} set aside, for a worker that has a handler for it`,
        ),
      )
    }
  }
  for (const { queue, lost, from, to, acknowledgedAt } of losses) {
    if (acknowledgedAt !== undefined) continue
    lines.push(
      output.style(
        'red',
        `${queue}: Redis forgot at least ${formatCount(lost)}, accepted after ${from.toISOString()}, not later than ${to.toISOString()}`,
      ),
    )
  }
  return lines.join('\n')
}
