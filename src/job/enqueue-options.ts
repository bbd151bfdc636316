import { OptionError } from '../errors.ts'
import { closest } from './closest.ts'
import { describeValue } from './describe-value.ts'
import { type Duration, parseDuration } from './duration.ts'
import { encodeHeaders, isPlainObject } from './headers.ts'
import type { Job, JobOptions } from './job.ts'
import { isAttempts, parseRetry, type RetryOptions, type RetryPolicy } from './retry-policy.ts'

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

/** What a call chose for one job, as it stands in the job's entry, with what its contract says of its key. Absent fields are left out. */
export interface ChosenOptions {
  /** Expires so many ms after its acceptance unless it has started. */
  x?: number
  /** Timeout in ms, where not the contract's. */
  tm?: number
  /** Attempts allowed, where not the contract's. */
  n?: number
  /** Retries, where not the contract's: backoff, delay and longest delay (ms), jitter. */
  rt?: { b?: 'exponential' | 'fixed'; d?: number; m?: number; j?: number }
  /** How long the history shows it once it completed (ms), where not the contract's. */
  kc?: number
  /** Key: one after another. */
  k?: string
  /** 1 = it keeps its key when it dies (`onDead: 'block'`). */
  b?: number
  /** Headers, a JSON text of its own. */
  h?: string
}

/** The options of one job, checked. */
export interface ParsedOptions {
  readonly chosen: ChosenOptions
  readonly delayMs: number | undefined
  readonly runAtMs: number | undefined
  readonly idempotencyKey: string | undefined
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

/** Checks the options of a job with this contract. Throws OptionError. */
export function parseEnqueueOptions(
  options: EnqueueOptions,
  contract: Pick<Job, 'retry' | 'onDead'>,
  place: OptionsPlace,
): ParsedOptions {
  for (const name of Object.keys(options)) {
    if (name !== place.besides && !isOption(name)) throw unknownOption(name, place)
  }
  const { delay, runAt, idempotencyKey } = options
  if (delay !== undefined && runAt !== undefined) {
    throw new OptionError('Give either delay or runAt, not both', { option: 'delay' })
  }
  const delayMs = delay === undefined ? undefined : parseDuration(delay, 'delay')
  const runAtMs = runAt === undefined ? undefined : requireInstant(runAt)
  const chosen: ChosenOptions = {}
  if (options.expiresIn !== undefined) chosen.x = parseDuration(options.expiresIn, 'expiresIn')
  if (options.timeout !== undefined) chosen.tm = parseDuration(options.timeout, 'timeout')
  if (options.attempts !== undefined) chosen.n = requireAttempts(options.attempts, options.retry)
  if (options.retry !== undefined) Object.assign(chosen, encodeRetry(options.retry, contract.retry))
  if (options.keep !== undefined) Object.assign(chosen, encodeKeep(options.keep))
  if (options.key !== undefined) {
    chosen.k = requireText(options.key, 'key', 200)
    if (contract.onDead === 'block') chosen.b = 1
  }
  if (idempotencyKey !== undefined) requireText(idempotencyKey, 'idempotencyKey', 500)
  if (options.headers !== undefined) chosen.h = encodeHeaders(options.headers)
  return { chosen, delayMs, runAtMs, idempotencyKey }
}

function requireInstant(runAt: unknown): number {
  const at = runAt instanceof Date ? runAt.getTime() : Number.NaN
  if (!Number.isNaN(at)) return at
  throw new OptionError(`runAt must be a valid Date; found ${describeValue(runAt)}`, { option: 'runAt', found: runAt })
}

/** Throws OptionError for options of a whole call that are none. Undefined is left to the caller. */
export function requireOptions(options: unknown, where: string): void {
  if (options === undefined || (typeof options === 'object' && options !== null && !Array.isArray(options))) return
  throw new OptionError(`${where} takes its options as an object; found ${describeValue(options)}`, {
    option: 'options',
    found: options,
  })
}

/** Whether a name is that of an option of one job. */
export function isOption(name: string): boolean {
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

function encodeRetry(retry: RetryOptions, contract: RetryPolicy): Pick<ChosenOptions, 'n' | 'rt'> {
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

function encodeKeep(keep: NonNullable<EnqueueOptions['keep']>): Pick<ChosenOptions, 'kc'> {
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
