import { type ParkedKeyView, type ParkedKeyWish, ParkedKeys, type WishOutcome } from '../outbox/parked-keys.ts'
import { NotFoundError, UsageError } from './cli-error.ts'
import { confirm } from './confirm.ts'
import type { Context } from './context.ts'
import { EXIT, type ExitCode } from './exit-codes.ts'
import { parseTime } from './flag-values.ts'
import { formatCount } from './format.ts'
import { operatorName } from './operator.ts'
import { type OutboxAccess, requireKnownSink, within, withOutbox } from './outbox-access.ts'
import { stopSignal } from './stop-signal.ts'

export interface ParkedKeyOptions {
  readonly sink?: string
  readonly all?: boolean
  readonly dryRun?: boolean
  readonly force?: boolean
}

/** A relay fulfils a wish within a second or two, unless much waits behind the key. */
const PATIENCE_MS = 30_000

/** Lets a parked key go on: retry sends what waits, skip leaves out its first row for good, discard all of it. */
export async function freeParkedKey(
  context: Context,
  wish: ParkedKeyWish,
  key: string | undefined,
  options: ParkedKeyOptions,
): Promise<ExitCode> {
  const { sink, all = false, dryRun = false, force = false } = options
  if ((key === undefined) !== all) {
    throw new UsageError(
      'Say which key: KEY, or --all for every parked one.',
      'moca outbox status --parked lists them.',
    )
  }
  const limitMs = parseTime('--timeout', context.flags.timeout)
  return withOutbox(context, `moca outbox ${wish}`, async (access) => {
    await requireKnownSink(access, sink)
    const parkedKeys = new ParkedKeys(access.database, access.schema)
    const parked = await parkedKeys.list({ sink, key })
    if (key !== undefined && parked.length === 0) {
      throw new NotFoundError(`Key ${key} is not parked.`, 'moca outbox status --parked lists those that are.')
    }
    if (dryRun || parked.length === 0) {
      const would = parked.map(viewOf)
      context.output.result({ wish, dryRun, keys: would }, () => describePlan(wish, parked))
      return EXIT.fine
    }
    if (wish !== 'retry' && !(await confirm(questionOf(wish, parked), force))) {
      context.output.result({ wish, dryRun, keys: [] }, () => 'Nothing was changed.')
      return EXIT.problem
    }
    const parkings = parked.map(({ parking }) => parking)
    await parkedKeys.wish(parkings, wish, operatorName())
    const outcomes = await parkedKeys.outcomes(parkings, await patience(context, access, limitMs))
    return tell(context, wish, parked, outcomes)
  })
}

/** Where no relay is alive nobody will fulfil it soon, unless the caller says how long to wait. */
async function patience({ output }: Context, { reader }: OutboxAccess, limitMs: number | undefined) {
  const stop = stopSignal()
  if ((await reader.relays()).length > 0) return within(limitMs ?? PATIENCE_MS, stop)
  output.warn('No relay is alive. The wish is written down, and fulfilled when one runs: moca outbox start')
  return within(limitMs ?? 0, stop)
}

function tell(
  context: Context,
  wish: ParkedKeyWish,
  parked: readonly ParkedKeyView[],
  outcomes: readonly WishOutcome[],
): ExitCode {
  const keys = parked.map((key) => {
    const { outcome = 'waiting', error } = outcomes.find(({ parking }) => parking === key.parking) ?? {}
    return { ...viewOf(key), outcome, ...(error !== undefined && { error }) }
  })
  context.output.result({ wish, dryRun: false, keys }, () => keys.map(describeOutcome).join('\n'))
  return keys.every(({ outcome }) => outcome === 'freed') ? EXIT.fine : EXIT.problem
}

function viewOf({ sink, lane, key, first, behind }: ParkedKeyView) {
  return { sink, lane, key, ...(first && { first }), behind }
}

function describeOutcome({ sink, key, outcome, error }: ReturnType<typeof viewOf> & Partial<WishOutcome>): string {
  const which = `Key ${key} of sink ${sink}`
  switch (outcome) {
    case 'freed':
      return `${which} is free.`
    case 'refused':
      return `${which} was refused again, and stays parked: ${error}`
    default:
      return `${which}: no relay has fulfilled it yet. The wish stands; moca outbox status --parked tells when it is.`
  }
}

function describePlan(wish: ParkedKeyWish, parked: readonly ParkedKeyView[]): string {
  if (parked.length === 0) return 'No key is parked.'
  return parked.map((key) => `Would ${describeWish(wish, key)}.`).join('\n')
}

function describeWish(wish: ParkedKeyWish, { sink, key, first, behind }: ParkedKeyView): string {
  const of = `of key ${key}, sink ${sink}`
  const head = first ? `${first.kind} ${first.id} (${first.topic} ${first.type})` : 'a row that the log has dropped'
  if (wish === 'skip') return `leave out ${head} ${of} and send the ${formatCount(behind)} behind it`
  const rest = behind === 0 ? '' : ` and ${formatCount(behind)} behind it`
  return `${wish === 'retry' ? 'send' : 'leave out'} ${head}${rest} ${of}`
}

function questionOf(wish: ParkedKeyWish, parked: readonly ParkedKeyView[]): string {
  const rows = wish === 'skip' ? parked.length : parked.reduce((sum, { behind }) => sum + behind + 1, 0)
  const [only, ...others] = parked
  const what =
    only && others.length === 0
      ? describeWish(wish, only)
      : `leave out ${formatCount(rows)} rows of ${formatCount(parked.length)} keys`
  return `${what.charAt(0).toUpperCase()}${what.slice(1)}? What is left out never reaches anybody.`
}
