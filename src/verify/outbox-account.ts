import { BatchAudit, type BatchCheck } from '../outbox/batch-audit.ts'
import { type LaneStatus, OutboxReader } from '../outbox/outbox-status.ts'
import type { SinkPosition, SinkPositions } from '../outbox/sinks/sink-positions.ts'
import type { Database } from '../postgres/database.ts'

/** What can be wrong with the account of the outbox. */
export type OutboxFindingKind =
  /** The database is a copy on another server: nothing is relayed. */
  | 'log_copied'
  /** Rows are recorded, and no relay has ever run. */
  | 'log_not_relayed'
  /** A number between two batches of a lane has no batch. */
  | 'batch_missing'
  /** The log has fewer rows of a batch than were sent. */
  | 'log_row_missing'
  /** Reading a batch again gives other rows than were sent. */
  | 'batch_differs'
  /** The sink has fewer batches of a lane than it took. */
  | 'sink_forgot'
  /** The sink has batches of a lane that PostgreSQL does not know, or another one of the same number. */
  | 'sink_ahead'
  /** The sink's lane is fed by another log. */
  | 'sink_foreign'
  /** Rows wait in a lane that no living relay owns. */
  | 'lane_without_owner'
  /** More is wrong with a lane's batches than is worth naming one by one. */
  | 'too_many_batches'

export interface OutboxFinding {
  readonly kind: OutboxFindingKind
  /** Left out where it concerns all. */
  readonly sink?: string
  readonly lane?: number
  /** A batch's number, where one is meant. */
  readonly batch?: number
  /** How many batches and rows it concerns, from that one on: of `sink_forgot`. */
  readonly batches?: number
  readonly rows?: number
  readonly expected: string
  readonly found: string
  readonly fix: string
}

export interface LaneAccount {
  readonly sink: string
  readonly lane: number
  /** PostgreSQL's last batch, and the sink's; the latter is left out for a sink that was not asked. */
  readonly n: number
  readonly sinkN?: number
  /** Batches that were read again, and rows found in them. */
  readonly batches: number
  readonly rows: number
  /** Batches whose rows the log does not keep any more. */
  readonly dropped: number
  /** Rows that wait. */
  readonly waiting: number
}

export interface OutboxAccount {
  readonly lanes: LaneAccount[]
  /** Keys that wait for an operator, and rows behind them. They are known and in their place, so this is no finding. */
  readonly parkedKeys: number
  readonly parkedRows: number
  readonly findings: OutboxFinding[]
}

export interface OutboxAccountOptions {
  readonly database: Database
  readonly schema: string
  /** Those whose positions can be asked for. */
  readonly sinks: readonly SinkPositions[]
  /** How long batches are kept, ms: older ones may have been pruned. */
  readonly retentionMs: number
  /** Batches before it are not read again. Default: all that are kept. */
  readonly since?: Date | undefined
  readonly signal?: AbortSignal | undefined
}

const MOST_FINDINGS_OF_A_LANE = 100

/**
 * Checks, per lane and sink, that batches are numbered without a gap, that the log still gives the rows that were sent, and that the sink
 * has what PostgreSQL says that it took. While relays work.
 */
export async function accountOutbox(options: OutboxAccountOptions): Promise<OutboxAccount> {
  const { database, schema, sinks, retentionMs, since = new Date(0), signal } = options
  const reader = new OutboxReader(database, schema)
  // In this order, so that nothing has to be waited for: what a sink had before cannot be more than PostgreSQL has now, and what PostgreSQL
  // knows to have been taken now, a sink must have afterwards.
  const before = await positionsOf(sinks)
  const { isHome, logId, at, sinks: states } = await reader.status()
  const after = await positionsOf(sinks)
  const lanes = states.flatMap((state) => state.lanes)
  const keptSince = new Date(Math.max(at.getTime() - retentionMs, since.getTime()))
  const findings: OutboxFinding[] = isHome ? [] : [COPIED]
  const accounts: LaneAccount[] = []
  const connection = await database.openConnection()
  try {
    const audit = new BatchAudit(connection, schema)
    if (lanes.length === 0 && (await audit.hasRows())) findings.push(NOT_RELAYED)
    for (const lane of lanes) {
      signal?.throwIfAborted()
      const then = before.get(lane.sink)?.get(lane.lane)
      const now = after.get(lane.sink)?.get(lane.lane)
      const gaps = await audit.gaps(lane.sink, lane.lane, keptSince)
      findings.push(...findOwnerless(lane), ...gaps.map((gap) => describeGap(lane, gap)))
      if (after.has(lane.sink)) findings.push(...(await compare(audit, lane, logId, then, now)))
      const tally = await tallyBatches(audit, lane, since, signal)
      findings.push(...tally.findings)
      const { batches, rows, dropped } = tally
      const { sink, lane: number, n, waiting } = lane
      const sinkN = after.has(sink) ? { sinkN: now?.n ?? 0 } : {}
      accounts.push({ sink, lane: number, n, ...sinkN, batches, rows, dropped, waiting })
    }
  } finally {
    connection.destroy()
  }
  findings.push(...findStrangers(lanes, after))
  return {
    lanes: accounts,
    parkedKeys: states.reduce((sum, { parkedKeys }) => sum + parkedKeys, 0),
    parkedRows: states.reduce((sum, { parkedRows }) => sum + parkedRows, 0),
    findings,
  }
}

type Positions = ReadonlyMap<string, ReadonlyMap<number, SinkPosition>>

async function positionsOf(sinks: readonly SinkPositions[]): Promise<Positions> {
  return new Map(await Promise.all(sinks.map(async (sink) => [sink.name, await sink.positions()] as const)))
}

const COPIED: OutboxFinding = {
  kind: 'log_copied',
  expected: 'the log on the PostgreSQL server that its transactions are of',
  found: 'a copy on another one: nothing is relayed',
  fix: 'Run moca outbox rebase if this database is to go on.',
}

const NOT_RELAYED: OutboxFinding = {
  kind: 'log_not_relayed',
  expected: 'a relay that has run',
  found: 'recorded rows, and none ever',
  fix: 'Start moca outbox start.',
}

/** `then`: what the sink had before PostgreSQL was asked; `now`: afterwards. */
async function compare(
  audit: BatchAudit,
  lane: LaneStatus,
  logId: string,
  then: SinkPosition | undefined,
  now: SinkPosition | undefined,
): Promise<OutboxFinding[]> {
  const { sink, lane: number, n, digest, isTaken } = lane
  const where = { sink, lane: number }
  const foreign = [then, now].find((position) => position !== undefined && position.logId !== logId)
  if (foreign) {
    const found = `batch ${foreign.n} of log ${foreign.logId}`
    const fix = 'Is another database configured for this namespace? Run moca outbox rebase if this one is to go on.'
    return [{ kind: 'sink_foreign', ...where, expected: `batches of log ${logId}`, found, fix }]
  }
  if (then && (then.n > n || (then.n === n && then.digest !== '' && then.digest !== digest))) {
    const found = then.n > n ? `batch ${then.n}: ${then.n - n} more` : `another batch ${n}`
    const fix = 'Was PostgreSQL put back to an older state? Run moca outbox rebase.'
    return [
      {
        kind: 'sink_ahead',
        ...where,
        batch: then.n,
        expected: `batch ${n}, the last that PostgreSQL knows`,
        found,
        fix,
      },
    ]
  }
  // One that is not known to have been taken may be under way.
  const least = isTaken ? n : n - 1
  const has = now?.n ?? 0
  if (has >= least) return []
  const rows = await audit.countRows(sink, number, has, least)
  return [
    {
      kind: 'sink_forgot',
      ...where,
      batch: has + 1,
      batches: least - has,
      rows,
      expected: `batch ${least}, which it had taken`,
      found: `batch ${has}: ${least - has} batches with ${rows} rows forgotten`,
      fix: 'A relay sends again what is not older than outbox.redriveMax; for the rest run moca outbox redrive --since.',
    },
  ]
}

function findOwnerless({ sink, lane, owner, waiting }: LaneStatus): OutboxFinding[] {
  if (owner !== undefined || waiting === 0) return []
  return [
    {
      kind: 'lane_without_owner',
      sink,
      lane,
      expected: 'a living relay that owns it',
      found: `none, and ${waiting} rows wait`,
      fix: 'Start moca outbox start.',
    },
  ]
}

function describeGap({ sink, lane }: LaneStatus, { fromN, uptoN }: { fromN: number; uptoN: number }): OutboxFinding {
  const which = fromN === uptoN ? `batch ${fromN}` : `batches ${fromN} to ${uptoN}`
  return {
    kind: 'batch_missing',
    sink,
    lane,
    batch: fromN,
    expected: which,
    found: 'none of that number',
    fix: 'Something other than Moca changed outbox_batch. The sink took what it says that it has; the log still holds the rows.',
  }
}

/** Lanes that a sink has, and PostgreSQL never had. */
function findStrangers(lanes: readonly LaneStatus[], after: Positions): OutboxFinding[] {
  return [...after].flatMap(([sink, positions]) =>
    [...positions]
      .filter(([lane]) => !lanes.some((each) => each.sink === sink && each.lane === lane))
      .map(([lane, { n, logId }]) => ({
        kind: 'sink_foreign' as const,
        sink,
        lane,
        expected: 'nothing: PostgreSQL never sent anything there',
        found: `batch ${n} of log ${logId}`,
        fix: 'Is another database configured for this namespace? Run moca outbox rebase if this one is to go on.',
      })),
  )
}

async function tallyBatches(audit: BatchAudit, lane: LaneStatus, since: Date, signal: AbortSignal | undefined) {
  const findings: OutboxFinding[] = []
  let [batches, rows, dropped] = [0, 0, 0]
  for await (const check of audit.check(lane.sink, lane.lane, since, lane.n)) {
    signal?.throwIfAborted()
    batches++
    rows += check.found
    if (check.status === 'dropped') dropped++
    else if ('batch' in check) findings.push(describeBatch(lane, check))
    if (findings.length >= MOST_FINDINGS_OF_A_LANE) {
      findings.push(tooMany(lane))
      break
    }
  }
  return { findings, batches, rows, dropped }
}

function describeBatch(
  { sink, lane }: LaneStatus,
  { status, batch, found }: Extract<BatchCheck, { readonly batch: unknown }>,
): OutboxFinding {
  const where = { sink, lane, batch: batch.n, expected: `${batch.rows} rows, as they were sent` }
  if (status === 'missing') {
    return {
      kind: 'log_row_missing',
      ...where,
      found: `${found} rows: ${batch.rows - found} deleted`,
      fix: 'Something other than Moca deleted rows of the log. The sink got them, unless it stands at an earlier batch.',
    }
  }
  return {
    kind: 'batch_differs',
    ...where,
    found: `${found} others`,
    fix: 'Something other than Moca wrote to the log, or to its ticks. Do not redrive this lane before it is understood.',
  }
}

function tooMany({ sink, lane }: LaneStatus): OutboxFinding {
  return {
    kind: 'too_many_batches',
    sink,
    lane,
    expected: `fewer than ${MOST_FINDINGS_OF_A_LANE} wrong batches`,
    found: 'as many; later ones were not read',
    fix: 'See to what is named, and verify again.',
  }
}
