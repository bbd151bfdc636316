import { systemClock } from '../clock.ts'
import { ConnectionError } from '../errors.ts'
import type { Standstill } from '../outbox/lane.ts'
import type { LaneStatus, OutboxStatus, SinkStatus } from '../outbox/outbox-status.ts'
import { type ParkedKeyView, ParkedKeys } from '../outbox/parked-keys.ts'
import type { Context } from './context.ts'
import { EXIT, type ExitCode } from './exit-codes.ts'
import { formatCount, formatDuration } from './format.ts'
import { type OutboxAccess, withOutbox } from './outbox-access.ts'
import type { Output } from './output.ts'
import { stopSignal } from './stop-signal.ts'

export interface OutboxStatusOptions {
  readonly watch?: boolean
  readonly parked?: boolean
}

const WATCH_MS = 1_000
const CLEAR = '\u001b[H\u001b[2J'

/** What stands where in the outbox. */
export async function showOutbox(
  context: Context,
  { watch = false, parked = false }: OutboxStatusOptions,
): Promise<ExitCode> {
  if (!watch) {
    await withOutbox(context, 'moca outbox status', (access) => showOnce(context, access, parked, ''))
    return EXIT.fine
  }
  const stop = stopSignal()
  while (!stop.aborted) await watchConnected(context, parked, stop)
  return EXIT.fine
}

/** Until the signal, or until the server goes away: then it says so, and the caller tries again. */
async function watchConnected(context: Context, parked: boolean, stop: AbortSignal): Promise<void> {
  const { output } = context
  const before = process.stdout.isTTY && !output.isJson ? CLEAR : ''
  try {
    await withOutbox(context, 'moca outbox status', async (access) => {
      while (!stop.aborted) {
        await showOnce(context, access, parked, before)
        await systemClock.wait(WATCH_MS, stop)
      }
    })
  } catch (error) {
    if (!(error instanceof ConnectionError)) throw error
    output.note(`Waiting for PostgreSQL: ${error.message}`)
    await systemClock.wait(WATCH_MS, stop)
  }
}

async function showOnce(context: Context, access: OutboxAccess, lists: boolean, before: string): Promise<void> {
  const { namespace } = await context.config()
  const status = await access.reader.status()
  const parked = lists ? await new ParkedKeys(access.database, access.schema).list() : undefined
  const json = { namespace, ...status, ...(parked && { parked }) }
  context.output.result(json, () => before + describe(context.output, status, parked))
}

function describe(output: Output, status: OutboxStatus, parked: readonly ParkedKeyView[] | undefined): string {
  const { sinks, relays, isHome, redrives, resent, at } = status
  const lines: string[] = []
  if (!isHome) {
    const advice = 'This log was copied to another PostgreSQL. Nothing is relayed until moca outbox rebase.'
    lines.push(output.style('red', advice), '')
  }
  lines.push(sinks.length === 0 ? 'No relay has ever run: nothing that is recorded leaves.' : tableOf(output, sinks))
  const names = relays.map(({ id }) => id).join(', ')
  lines.push('', `Relays: ${relays.length === 0 ? output.style('yellow', 'none is alive') : names}`)
  for (const sink of sinks) lines.push(...troublesOf(output, sink, at))
  for (const { sink, lane, fromN, wishedBy = 'somebody' } of redrives) {
    lines.push(output.style('yellow', `${sink}: lane ${lane} is to be sent again from batch ${fromN} on (${wishedBy})`))
  }
  for (const { sink, lane, fromN, uptoN, rows, at: sentAt } of resent) {
    const what = `batches ${fromN} to ${uptoN} of lane ${lane} (${formatCount(rows)} rows)`
    lines.push(`${sink}: had forgotten ${what}, sent again at ${sentAt.toISOString()}`)
  }
  if (parked) lines.push('', parked.length === 0 ? 'No key is parked.' : tableOfParked(output, parked, at))
  return lines.join('\n')
}

function tableOf(output: Output, sinks: readonly SinkStatus[]): string {
  const rows = sinks.map(({ sink, waiting, oldestWaitingMs, lanes, lanesWithoutOwner, parkedKeys }) => {
    const standing = lanes.filter(({ standstill }) => standstill).length
    const warn = (count: number) => (count > 0 ? output.style('red', formatCount(count)) : '0')
    const free = warn(lanesWithoutOwner.length)
    return [sink, formatCount(waiting), formatDuration(oldestWaitingMs), free, warn(standing), warn(parkedKeys)]
  })
  const head = ['SINK', 'WAITING', 'OLDEST WAITING', 'LANES WITHOUT OWNER', 'STANDING STILL', 'PARKED KEYS']
  return output.table(head, rows)
}

function* troublesOf(output: Output, { sink, lanes, lanesWithoutOwner }: SinkStatus, at: Date): Generator<string> {
  if (lanesWithoutOwner.length > 0) {
    const which = lanesWithoutOwner.length === lanes.length ? 'All lanes' : `Lanes ${lanesWithoutOwner.join(', ')}`
    yield output.style('yellow', `${sink}: ${which} have no owner: start moca outbox start`)
  }
  for (const { lane, standstill, waiting } of lanes) {
    if (!standstill) continue
    const since = formatDuration(at.getTime() - standstill.since.getTime())
    const text = `${sink}: lane ${lane} has stood still for ${since}, ${formatCount(waiting)} waiting: ${explainStandstill(standstill)}`
    yield output.style('red', text)
  }
}

/** Why a lane stands still, and what ends it. */
function explainStandstill({ reason, found, expected }: NonNullable<LaneStatus['standstill']>): string {
  return EXPLANATIONS[reason](found, expected)
}

const EXPLANATIONS: Readonly<Record<Standstill['reason'], (found: number, expected: number) => string>> = {
  behind: (found, expected) =>
    `the sink is at batch ${found}, PostgreSQL at ${expected}: PostgreSQL was put back. Run moca outbox rebase`,
  foreign: (found) => `the sink is at batch ${found} of another log. Run moca outbox rebase, if this one is to go on`,
  forgot: (found, expected) =>
    `the sink forgot batches ${found + 1} to ${expected}, too old to be sent again unasked. Run moca outbox redrive --since`,
}

function tableOfParked(output: Output, parked: readonly ParkedKeyView[], at: Date): string {
  const rows = parked.map(({ sink, lane, key, first, reason, error, since, behind, wish }) => [
    sink,
    String(lane),
    key,
    first?.id ?? 'dropped',
    first ? `${first.topic} ${first.type}` : '-',
    `${reason}: ${error}`,
    formatCount(behind),
    formatDuration(at.getTime() - since.getTime()),
    wish ?? '-',
  ])
  return output.table(['SINK', 'LANE', 'KEY', 'FIRST', 'WHAT', 'WHY', 'BEHIND IT', 'FOR', 'WISH'], rows, 6)
}
