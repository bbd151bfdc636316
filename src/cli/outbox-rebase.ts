import { type LaneRebase, Rebase } from '../outbox/rebase.ts'
import { confirm } from './confirm.ts'
import type { Context } from './context.ts'
import { EXIT, type ExitCode } from './exit-codes.ts'
import { formatCount } from './format.ts'
import { operatorName } from './operator.ts'
import { withOutbox } from './outbox-access.ts'
import { withSinks } from './outbox-sinks.ts'
import type { Output } from './output.ts'

export interface RebaseOptions {
  readonly dryRun?: boolean
  readonly force?: boolean
}

/** Accepts the present PostgreSQL as the truth. */
export async function rebaseOutbox(
  context: Context,
  { dryRun = false, force = false }: RebaseOptions,
): Promise<ExitCode> {
  const { output } = context
  return withOutbox(context, 'moca outbox rebase', ({ database, schema }) =>
    withSinks(context, async (sinks) => {
      const rebase = new Rebase(database, schema, sinks)
      const plan = await rebase.plan()
      if (dryRun) {
        output.result({ dryRun, lanes: plan }, () => describe(output, plan))
        return EXIT.fine
      }
      if (!output.isJson) output.note(describe(output, plan))
      if (!(await confirm(questionOf(plan), force))) {
        output.result({ dryRun, lanes: [] }, () => 'Nothing was changed.')
        return EXIT.problem
      }
      const { logId, lanes } = await rebase.run(operatorName())
      output.result(
        { dryRun, logId, lanes },
        () => `${describe(output, lanes)}\nThe log has a new id, ${logId}. Relays go on by it.`,
      )
      return EXIT.fine
    }),
  )
}

function describe(output: Output, lanes: readonly LaneRebase[]): string {
  if (lanes.length === 0) return 'No lane has ever sent anything.'
  const rows = lanes.map((lane) => [
    lane.sink,
    String(lane.lane),
    formatCount(lane.n),
    lane.sinkN === undefined ? 'none' : `${formatCount(lane.sinkN)}${lane.isForeign ? ' (another log)' : ''}`,
    lane.unknownBatches > 0 ? output.style('yellow', formatCount(lane.unknownBatches)) : '0',
    formatCount(lane.continuesAfter),
    formatCount(lane.missing.rows),
    formatCount(lane.waiting),
  ])
  const head = [
    'SINK',
    'LANE',
    "POSTGRESQL'S BATCH",
    "SINK'S",
    'UNKNOWN BATCHES',
    'GOES ON AFTER',
    'ROWS SENT AGAIN',
    'WAITING',
  ]
  return output.table(head, rows, 2)
}

function questionOf(lanes: readonly LaneRebase[]): string {
  const sum = (count: (lane: LaneRebase) => number) => lanes.reduce((total, lane) => total + count(lane), 0)
  const unknown = sum(({ unknownBatches }) => unknownBatches)
  const again = sum(({ missing: { rows } }) => rows)
  const known = unknown === 0 ? '' : ` ${formatCount(unknown)} batches that the sinks took stay done, and unknown here.`
  return `Accept this PostgreSQL as the truth? ${formatCount(again)} rows are sent again, perhaps a second time.${known}`
}
