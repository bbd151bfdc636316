import { hash } from 'node:crypto'
import { OptionError } from '../errors.ts'
import { type Duration, parseDuration } from '../job/duration.ts'
import type { EntryOptions } from './entry.ts'

/** Options of one enqueued job. */
export interface EnqueueOptions {
  /** Not before so much time has passed (server's clock). Not together with `runAt`. */
  readonly delay?: Duration
  /** Not before this instant. One in the past means at once. */
  readonly runAt?: Date
  /** Counted as expired, and not run, unless it started within this time after it was accepted. */
  readonly expiresIn?: Duration
  /** Jobs of one queue with the same key run one after another, in order: 1 to 200 characters. */
  readonly key?: string
  /** A second enqueue with the same key within `idempotencyTtl` (24 h) adds nothing and returns the first one's id: 1 to 500 characters. */
  readonly idempotencyKey?: string
  /** Travel with the job, e.g. trace context. Together at most 8 KiB. */
  readonly headers?: Readonly<Record<string, string>>
  /** Attempts in all for this job. */
  readonly attempts?: number
  /** Timeout of an attempt for this job. */
  readonly timeout?: Duration
}

/** What enqueue.lua is told about one job besides type and payload. */
export interface EncodedOptions {
  readonly entry: EntryOptions
  readonly control: Control
}

export interface Control {
  i?: string
  in?: number
  on?: number
  k?: string
  u?: string
  ut?: number
  big?: true
}

const KNOWN = new Set([
  'delay',
  'runAt',
  'expiresIn',
  'key',
  'idempotencyKey',
  'headers',
  'attempts',
  'timeout',
  'queue',
  'payload',
])
const HEADERS_LIMIT_BYTES = 8_192

/** Checks and encodes the options of a job. Throws OptionError. */
export function encodeOptions(options: EnqueueOptions, idempotencyTtlMs: number): EncodedOptions {
  for (const name of Object.keys(options)) {
    if (!KNOWN.has(name)) {
      throw new OptionError(`enqueue has no option ${name}. Known are ${[...KNOWN].slice(0, -1).join(', ')}.`, {
        option: name,
      })
    }
  }
  const entry: EntryOptions = {}
  const control: Control = {}
  if (options.delay !== undefined && options.runAt !== undefined) {
    throw new OptionError('Give either delay or runAt, not both', { option: 'delay' })
  }
  if (options.delay !== undefined) control.in = parseDuration(options.delay, 'delay')
  if (options.runAt !== undefined) {
    const at = options.runAt instanceof Date ? options.runAt.getTime() : Number.NaN
    if (Number.isNaN(at)) throw new OptionError('runAt must be a valid Date', { option: 'runAt', found: options.runAt })
    control.on = at
  }
  if (options.expiresIn !== undefined) entry.x = parseDuration(options.expiresIn, 'expiresIn')
  if (options.timeout !== undefined) entry.tm = parseDuration(options.timeout, 'timeout')
  if (options.attempts !== undefined) {
    if (!Number.isInteger(options.attempts) || options.attempts < 1 || options.attempts > 1000) {
      throw new OptionError(`attempts must be a whole number from 1 to 1000; found ${options.attempts}`, {
        option: 'attempts',
        found: options.attempts,
      })
    }
    entry.n = options.attempts
  }
  if (options.key !== undefined) {
    entry.k = requireText(options.key, 'key', 200)
    control.k = entry.k
  }
  if (options.idempotencyKey !== undefined) {
    control.u = hash('sha256', requireText(options.idempotencyKey, 'idempotencyKey', 500), 'base64url').slice(0, 16)
    control.ut = idempotencyTtlMs
  }
  if (options.headers !== undefined) entry.h = encodeHeaders(options.headers)
  return { entry, control }
}

function requireText(value: unknown, option: string, longest: number): string {
  if (typeof value === 'string' && value.length > 0 && value.length <= longest && value.isWellFormed()) return value
  throw new OptionError(
    `${option} must be a text of 1 to ${longest} characters (no half surrogate pairs); found ${JSON.stringify(value)}`,
    {
      option,
      found: value,
    },
  )
}

function encodeHeaders(headers: Readonly<Record<string, string>>): string {
  for (const [name, value] of Object.entries(headers)) {
    if (typeof value !== 'string')
      throw new OptionError(`Header ${name} must be a text; found ${typeof value}`, { option: 'headers', found: name })
  }
  const text = JSON.stringify(headers)
  if (Buffer.byteLength(text) > HEADERS_LIMIT_BYTES) {
    throw new OptionError(`The headers have more than ${HEADERS_LIMIT_BYTES} bytes together`, { option: 'headers' })
  }
  return text
}
