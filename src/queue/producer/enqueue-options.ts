import { hash } from 'node:crypto'
import { closest } from '../../config/config-issues.ts'
import { OptionError } from '../../errors.ts'
import { describeValue } from '../../job/describe-value.ts'
import { type Duration, parseDuration } from '../../job/duration.ts'
import type { JobOptions } from '../../job/job.ts'
import { isAttempts, parseRetry, type RetryOptions, type RetryPolicy } from '../../job/retry-policy.ts'
import { MOST_BYTES_PER_UNIT, storedBytes } from '../../job/stored-text.ts'
import { type EntryOptions, HEADERS_LIMIT_BYTES } from '../entry.ts'

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
  /** Travel with the job, e.g. trace context. Together at most 8 KiB, as JSON within JSON. */
  readonly headers?: Readonly<Record<string, string>>
  /** Attempts in all for this job, instead of its contract's. Short for `retry: { attempts }`; give one of them. */
  readonly attempts?: number
  /** Timeout of an attempt for this job, instead of its contract's. */
  readonly timeout?: Duration
  /** How this job is retried where not by its contract. What is left out stays the contract's, and follows it. */
  readonly retry?: RetryOptions
  /** How long the history shows this job, instead of its contract's. */
  readonly keep?: NonNullable<JobOptions['keep']>
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

const NAMES = [
  'delay',
  'runAt',
  'expiresIn',
  'key',
  'idempotencyKey',
  'headers',
  'attempts',
  'timeout',
  'retry',
  'keep',
] as const satisfies readonly (keyof EnqueueOptions)[]

/** Which of the places for options of one job is looked at: they take the same, and each has a neighbour besides. */
export interface OptionsPlace {
  readonly name: string
  /** Also taken here, and read by the caller. */
  readonly besides: 'queue' | 'payload'
  /** What is said of names that belong elsewhere. */
  readonly elsewhere: ReadonlyMap<string, string>
}

const ELSEWHERE = {
  backoff: "belongs into retry: { backoff: 'fixed' }",
  maxDelay: "belongs into retry: { maxDelay: '1h' }",
  jitter: 'belongs into retry: { jitter: 0 }',
}

export const ENQUEUE: OptionsPlace = {
  name: 'enqueue',
  besides: 'queue',
  elsewhere: new Map(
    Object.entries({ ...ELSEWHERE, payload: 'is the second argument: enqueue(job, payload, options)' }),
  ),
}

export const ENQUEUE_MANY: OptionsPlace = {
  name: 'an item of enqueueMany',
  besides: 'payload',
  elsewhere: new Map(
    Object.entries({ ...ELSEWHERE, queue: 'holds for all items of a call: enqueueMany(job, items, { queue })' }),
  ),
}

/** Checks and encodes the options of a job, whose contract has this retry policy. Throws OptionError. */
export function encodeOptions(
  options: EnqueueOptions,
  contract: RetryPolicy,
  idempotencyTtlMs: number,
  place: OptionsPlace = ENQUEUE,
): EncodedOptions {
  for (const name of Object.keys(options)) {
    if (name !== place.besides && !isOption(name)) throw unknownOption(name, place)
  }
  const entry: EntryOptions = {}
  const control: Control = {}
  if (options.delay !== undefined && options.runAt !== undefined) {
    throw new OptionError('Give either delay or runAt, not both', { option: 'delay' })
  }
  if (options.delay !== undefined) control.in = parseDuration(options.delay, 'delay')
  if (options.runAt !== undefined) {
    const at = options.runAt instanceof Date ? options.runAt.getTime() : Number.NaN
    if (Number.isNaN(at))
      throw new OptionError(`runAt must be a valid Date; found ${describeValue(options.runAt)}`, {
        option: 'runAt',
        found: options.runAt,
      })
    control.on = at
  }
  if (options.expiresIn !== undefined) entry.x = parseDuration(options.expiresIn, 'expiresIn')
  if (options.timeout !== undefined) entry.tm = parseDuration(options.timeout, 'timeout')
  if (options.attempts !== undefined) entry.n = requireAttempts(options.attempts, options.retry)
  if (options.retry !== undefined) Object.assign(entry, encodeRetry(options.retry, contract))
  if (options.keep !== undefined) Object.assign(entry, encodeKeep(options.keep))
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

/** Throws OptionError for options of a whole call that are none. Undefined is left to the caller. */
export function requireOptions(options: unknown, where: string): void {
  if (options === undefined || (typeof options === 'object' && options !== null && !Array.isArray(options))) return
  throw new OptionError(`${where} takes its options as an object; found ${describeValue(options)}`, {
    option: 'options',
    found: options,
  })
}

/** Throws OptionError for anything but the options of a whole call of enqueueMany. */
export function requireManyOptions(options: object): void {
  for (const name of Object.keys(options)) {
    if (name === 'queue') continue
    const hint = isOption(name) ? 'belongs to the items: enqueueMany(job, [{ payload, ... }])' : 'is unknown'
    throw new OptionError(`Option ${name} of enqueueMany ${hint}. Known here is queue.`, { option: name })
  }
}

function isOption(name: string): boolean {
  return (NAMES as readonly string[]).includes(name)
}

function unknownOption(name: string, { name: where, besides, elsewhere }: OptionsPlace): OptionError {
  const home = elsewhere.get(name)
  if (home !== undefined) return new OptionError(`Option ${name} is not one of ${where}: it ${home}.`, { option: name })
  const known = [...NAMES, besides]
  const meant = closest(name, known)
  const hint = meant === undefined ? '' : ` Did you mean ${meant}?`
  return new OptionError(`${capital(where)} has no option ${name}.${hint} Known are ${known.join(', ')}.`, {
    option: name,
  })
}

function capital(text: string): string {
  return text.startsWith('an ') ? `A${text.slice(1)}` : text
}

function isPlainObject(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

function requireText(value: unknown, option: string, longest: number): string {
  if (typeof value === 'string' && value.length > 0 && value.length <= longest && value.isWellFormed()) return value
  throw new OptionError(
    `${option} must be a text of 1 to ${longest} characters (no half surrogate pairs); found ${describeValue(value)}`,
    {
      option,
      found: value,
    },
  )
}

function requireAttempts(attempts: number, retry: RetryOptions | undefined): number {
  if (!isAttempts(attempts)) {
    throw new OptionError(`attempts must be a whole number from 1 to 1000; found ${describeValue(attempts)}`, {
      option: 'attempts',
      found: attempts,
    })
  }
  if (retry?.attempts !== undefined) {
    throw new OptionError('Give either attempts or retry.attempts, not both: they are the same', { option: 'attempts' })
  }
  return attempts
}

function encodeRetry(retry: RetryOptions, contract: RetryPolicy): Pick<EntryOptions, 'n' | 'rt'> {
  if (!isPlainObject(retry)) {
    throw new OptionError(
      `retry must be an object { attempts, backoff, delay, maxDelay, jitter }; found ${describeValue(retry)}`,
      { option: 'retry', found: retry },
    )
  }
  const { attempts, backoff, delayMs, maxDelayMs, jitter } = parseRetry(retry, 'retry', contract, OptionError)
  const rt = {
    ...(backoff !== undefined && { b: backoff }),
    ...(delayMs !== undefined && { d: delayMs }),
    ...(maxDelayMs !== undefined && { m: maxDelayMs }),
    ...(jitter !== undefined && { j: jitter }),
  }
  return { ...(attempts !== undefined && { n: attempts }), ...(Object.keys(rt).length > 0 && { rt }) }
}

function encodeKeep(keep: NonNullable<EnqueueOptions['keep']>): Pick<EntryOptions, 'kc'> {
  if (!isPlainObject(keep)) {
    throw new OptionError(`keep must be an object { completed }; found ${describeValue(keep)}`, {
      option: 'keep',
      found: keep,
    })
  }
  const { completed, ...unknown } = keep
  const strange = Object.keys(unknown)[0]
  if (strange !== undefined) {
    throw new OptionError(`keep has an unknown option ${strange}. Known is completed.`, { option: strange })
  }
  return completed === undefined ? {} : { kc: parseDuration(completed, 'keep.completed') }
}

function encodeHeaders(headers: Readonly<Record<string, string>>): string {
  // Not a Headers or a Map either: they have no properties, and would silently carry nothing.
  if (!isPlainObject(headers)) {
    throw new OptionError(`headers must be an object of texts by name; found ${describeValue(headers)}`, {
      option: 'headers',
      found: headers,
    })
  }
  for (const [name, value] of Object.entries(headers)) {
    if (typeof value !== 'string')
      throw new OptionError(`Header ${name} must be a text; found ${typeof value}`, { option: 'headers', found: name })
  }
  const text = JSON.stringify(headers)
  // Most headers need no count.
  if (text.length * MOST_BYTES_PER_UNIT > HEADERS_LIMIT_BYTES && storedBytes(text) > HEADERS_LIMIT_BYTES) {
    throw new OptionError(
      `The headers have more than ${HEADERS_LIMIT_BYTES} bytes together, as JSON within JSON: quotes, slashes and control characters take more than one. Put large values into the payload.`,
      { option: 'headers' },
    )
  }
  return text
}
