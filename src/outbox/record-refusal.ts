import { MocaError, OptionError, PayloadError } from '../errors.ts'

/** What `moca.record` and the capture triggers refuse with (migrations/0002-record.sql). */
const REFUSED = 'MO001'
/** Libraries wrap the server's error, some of them twice. */
const DEEPEST = 5

interface Facts {
  readonly option?: string
  /** Which one of a list. */
  readonly index?: number
  readonly bytes?: number
  readonly limit?: number
}

interface Refusal {
  readonly message: string
  readonly hint: string | undefined
  readonly facts: Facts
}

/**
 * The OptionError or PayloadError that a refusal of `moca.record` stands for; anything else comes back as it is. `type`: of the job, or
 * of the only event.
 */
export function asRecordError(error: unknown, type: string | undefined): unknown {
  const refusal = findRefusal(error)
  if (!refusal) return error
  const { message, hint, facts } = refusal
  // Knex puts the statement before it.
  const text = `${message.replace(/^.*?moca\.record: /s, '')}.${hint === undefined ? '' : ` ${hint}`}`
  const all = { ...(type !== undefined && { type }), ...facts }
  if (facts.bytes !== undefined) return new PayloadError('payload_too_large', text, all, error)
  if (facts.option === 'request') return new PayloadError('payload_invalid', text, all, error)
  return Object.assign(new OptionError(text, all), { cause: error })
}

function findRefusal(error: unknown): Refusal | undefined {
  let wrapped: unknown = error
  for (let depth = 0; depth < DEEPEST && typeof wrapped === 'object' && wrapped !== null; depth++) {
    const { code, originalCode, message, originalMessage, detail, hint } = wrapped as Record<string, unknown>
    if (code === REFUSED || originalCode === REFUSED) {
      return { message: String(originalMessage ?? message), hint: textOf(hint), facts: readFacts(detail) }
    }
    wrapped = inner(wrapped as Record<string, unknown>)
  }
  return undefined
}

/** The error within: `cause` of most, `driverError` of TypeORM, `meta.driverAdapterError` of Prisma. */
function inner(error: Record<string, unknown>): unknown {
  if (error instanceof MocaError && error.cause === undefined) return undefined
  const meta = error.meta as Record<string, unknown> | undefined
  return error.driverError ?? meta?.driverAdapterError ?? error.cause
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

function readFacts(detail: unknown): Facts {
  if (typeof detail !== 'string') return {}
  try {
    const { item, ...facts } = JSON.parse(detail) as Omit<Facts, 'index'> & { item?: number }
    return { ...facts, ...(item !== undefined && { index: item }) }
  } catch {
    return {}
  }
}
