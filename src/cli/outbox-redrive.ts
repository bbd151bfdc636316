import { type LaneRedrive, type RedriveProgress, Redrives } from '../outbox/redrives.ts'
import { UsageError } from './cli-error.ts'
import { confirm } from './confirm.ts'
import type { Context } from './context.ts'
import { EXIT, type ExitCode } from './exit-codes.ts'
import { parseInstant, parseTime } from './flag-values.ts'
import { formatCount } from './format.ts'
import { operatorName } from './operator.ts'
import { requireKnownSink, within, withOutbox } from './outbox-access.ts'
import type { Output } from './output.ts'
import { stopSignal } from './stop-signal.ts'

export interface RedriveOptions {
  readonly since?: string
  readonly sink?: string
  readonly dryRun?: boolean
  readonly force?: boolean
}

/** Sends again what sinks forgot, however old it is. */
export async function redrive(context: Context, options: RedriveOptions): Promise<ExitCode> {
  const { sink, dryRun = false, force = false } = options
  const since = parseInstant('--since', options.since)
  if (!since) {
    throw new UsageError(
      'Say from when on: --since 1h, or --since 2026-11-25T08:00:00Z.',
      'What was forgotten and is older is left out for good; --dry-run shows how much that is.',
    )
  }
  const limitMs = parseTime('--timeout', context.flags.timeout)
  const { output } = context
  return withOutbox(context, 'moca outbox redrive', async (access) => {
    await requireKnownSink(access, sink)
    const redrives = new Redrives(access.database, access.schema)
    const plan = await redrives.plan(since, sink)
    const wanted = plan.filter(({ standstill }) => standstill === undefined)
    const result = { since, dryRun, lanes: plan }
    if (dryRun || wanted.length === 0) {
      output.result({ ...result, fulfilled: false, rows: 0 }, () => describePlan(output, plan))
      return EXIT.fine
    }
    if (!output.isJson) output.note(describePlan(output, plan))
    if (!(await confirm(questionOf(wanted), force))) {
      output.result({ ...result, lanes: [], fulfilled: false, rows: 0 }, () => 'Nothing was sent again.')
      return EXIT.problem
    }
    const look = await redrives.wish(wanted, operatorName())
    const isAnybodyAlive = (await access.reader.relays()).length > 0
    if (!isAnybodyAlive)
      output.warn('No relay is alive. The wish is written down, and fulfilled when one runs: moca outbox start')
    const signal = within(isAnybodyAlive ? limitMs : (limitMs ?? 0), stopSignal())
    const { open, rows } = await redrives.finish(look, signal, progressLine(output, wanted.length))
    output.result({ ...result, fulfilled: open === 0, rows }, () =>
      open === 0
        ? `All lanes have what they had sent. Rows of forgotten batches sent again: ${formatCount(rows)}, without the last batch of each lane.`
        : `${formatCount(open)} lanes are not done yet. The wish stands; moca outbox status shows what is left of it.`,
    )
    return open === 0 && wanted.length === plan.length ? EXIT.fine : EXIT.problem
  })
}

/** Says how far it is, when that has changed. */
function progressLine(output: Output, lanes: number): (progress: RedriveProgress) => void {
  let last = ''
  return ({ open, rows }) => {
    const line = `${formatCount(lanes - open)} of ${formatCount(lanes)} lanes done, ${formatCount(rows)} rows sent again`
    if (line !== last) output.note(line)
    last = line
  }
}

function describePlan(output: Output, plan: readonly LaneRedrive[]): string {
  if (plan.length === 0) return 'No lane has ever sent anything.'
  const rows = plan.map(({ sink, lane, fromN, uptoN, missing, older, standstill }) => [
    sink,
    String(lane),
    fromN > uptoN ? '-' : `${fromN} to ${uptoN}`,
    standstill === undefined ? formatCount(missing.batches) : 'waits for moca outbox rebase',
    formatCount(missing.rows),
    older.rows > 0 ? output.style('red', formatCount(older.rows)) : '0',
  ])
  const head = ['SINK', 'LANE', 'BATCHES SINCE THEN', 'FORGOTTEN', 'ROWS', 'OLDER ROWS, LEFT OUT']
  return output.table(head, rows, 3)
}

function questionOf(lanes: readonly LaneRedrive[]): string {
  const sum = (count: (lane: LaneRedrive) => number) => lanes.reduce((total, lane) => total + count(lane), 0)
  const older = sum(({ older: { rows } }) => rows)
  const lost = older === 0 ? '' : ` ${formatCount(older)} older rows that were forgotten are left out for good.`
  return `Send ${formatCount(sum(({ missing: { rows } }) => rows))} forgotten rows again, and whatever else these sinks turn out to have forgotten since then?${lost}`
}
