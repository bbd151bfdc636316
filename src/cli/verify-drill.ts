import { OptionError } from '../errors.ts'
import { silentLogger } from '../logger.ts'
import { searchIndexesOf } from '../search-indexes.ts'
import { type CanaryTrace, type DrillAccount, sendThrough } from '../verify/drill.ts'
import type { DrillFinding } from '../verify/drill-finding.ts'
import type { IndexTrace } from '../verify/drill-indexes.ts'
import { UsageError } from './cli-error.ts'
import type { Context } from './context.ts'
import { describeFinding } from './describe-finding.ts'
import { EXIT, type ExitCode } from './exit-codes.ts'
import { parseTime } from './flag-values.ts'
import { formatCount, formatDuration } from './format.ts'
import { withOutboxIfAny } from './outbox-if-any.ts'
import type { Output } from './output.ts'

export interface DrillOptions {
  readonly isDrill: boolean
  readonly within: string | undefined
  readonly queue?: string
  readonly since?: string
}

const WITHIN_MS = 30_000

/** Sends canaries through a system that runs, and shows their trace. Exit code 1 when one does not come through in time. */
export async function runDrill(context: Context, { isDrill, within, queue, since }: DrillOptions): Promise<ExitCode> {
  if (!isDrill) throw new UsageError('--within is for --drill.', 'moca verify --drill --within 10s')
  if (queue !== undefined || since !== undefined) {
    throw new UsageError(
      `--drill sends canaries through all of it: ${queue === undefined ? '--since' : '--queue'} does not go with it.`,
      'Leave one of them out.',
    )
  }
  const withinMs = parseTime('--within', within) ?? WITHIN_MS
  const { history } = await context.config()
  if (history.entries === 0) {
    throw new OptionError(
      'A drill sees in the history that its jobs were done, and history.entries is 0: nothing is kept',
      { option: 'history.entries', found: 0, expected: 'at least 1' },
    )
  }
  // A canary is no affair of the application's hooks.
  const account = await context.withMoca(
    async (moca) => {
      const withOutbox = await withOutboxIfAny(context, 'moca verify --drill', async (database, config) => {
        const outbox = { database, schema: config.postgres.schema }
        return sendThrough({ moca, outbox, indexes: searchIndexesOf(config, database, silentLogger), withinMs })
      })
      return withOutbox ?? sendThrough({ moca, outbox: undefined, indexes: [], withinMs })
    },
    { apps: [], hooks: {} },
  )
  const isOk = account.findings.length === 0
  context.output.result({ ok: isOk, ...account }, () => describe(context.output, account))
  return isOk ? EXIT.fine : EXIT.problem
}

function describe(output: Output, { id, rows, canaries, indexes, findings }: DrillAccount): string {
  const where = rows ? `rows ${formatCount(rows.first)} to ${formatCount(rows.last)} of the log` : 'Redis'
  const steps = [
    ...[...Map.groupBy(canaries, ({ kind, queue }) => `${kind} ${queue}`).values()].map(rowOfCanaries),
    ...indexes.map(rowOfIndex),
  ]
  return [
    `Canary ${id}, in ${where}`,
    '',
    output.table(['STEP', 'BY', 'RELAYED AFTER', 'DONE AFTER'], steps, 2),
    ...findings.flatMap((finding) => describeFinding(output, placeOf(finding), finding)),
    '',
    findings.length === 0 ? 'All canaries came through.' : `${formatCount(findings.length)} findings.`,
  ].join('\n')
}

function rowOfCanaries(traces: readonly CanaryTrace[]): string[] {
  const [{ kind, queue } = { kind: 'event', queue: '' }] = traces
  const lanes = new Set(traces.map(({ lane }) => lane))
  const through = [...lanes].every((lane) => lane === undefined) ? [] : [laneText([...lanes])]
  const relayed = traces[0]?.lane === undefined ? '-' : rangeOf(traces.map(({ relayedMs }) => relayedMs))
  return [kind, [...through, `queue ${queue}`].join(', '), relayed, rangeOf(traces.map(({ handledMs }) => handledMs))]
}

function laneText(lanes: readonly (number | undefined)[]): string {
  return lanes.length === 1 ? `lane ${lanes[0]}` : `${lanes.length} lanes`
}

function rowOfIndex({ index, docname, indexedMs, keeper }: IndexTrace): string[] {
  const by = keeper === undefined ? 'nobody' : keeper
  const what = docname === undefined ? `index ${index} (empty)` : `index ${index}, document ${docname}`
  return ['index', `${what}, by ${by}`, '-', docname === undefined ? '-' : rangeOf([indexedMs])]
}

/** From the fastest to the slowest. */
function rangeOf(times: readonly (number | undefined)[]): string {
  const known = times.filter((ms) => ms !== undefined)
  const missing = times.length - known.length
  if (known.length === 0) return 'never'
  const [least, most] = [formatDuration(Math.min(...known)), formatDuration(Math.max(...known))]
  const range = least === most ? least : `${least} to ${most}`
  return missing === 0 ? range : `${range}, ${formatCount(missing)} never`
}

function placeOf({ lane, queue, index }: DrillFinding): string {
  if (index !== undefined) return `index ${index}`
  return lane === undefined ? `queue ${queue}` : `lane ${lane}`
}
