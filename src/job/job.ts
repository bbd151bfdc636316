import type { ScheduledRun } from './scheduled.ts'
import type { StandardSchemaV1 } from '@standard-schema/spec'
import { ConfigError } from '../errors.ts'
import type { Logger } from '../logger.ts'
import { describeValue } from './describe-value.ts'
import { type Duration, parseDuration } from './duration.ts'
import { requireQueueName } from './job-id.ts'
import { type RetryOptions, type RetryPolicy, resolveRetry } from './retry-policy.ts'

/** What an application writes to define a job. */
export interface JobOptions<Schema extends StandardSchemaV1 | undefined = StandardSchemaV1 | undefined> {
  /** Unique name of this kind of job, e.g. `invoice.send`: 1 to 100 of A-Z a-z 0-9 . _ : / - */
  readonly type: string
  /** Any Standard Schema. Enqueue checks the input as JSON will carry it; the handler gets the output. Default: any JSON. */
  readonly payload?: Schema
  /** Default `default`. */
  readonly queue?: string
  /** Longest run of one attempt; then `signal` aborts. `0`: none. Default 5 min. */
  readonly timeout?: Duration
  readonly retry?: RetryOptions
  readonly keep?: {
    /** How long the history shows a completed job, within what the history holds. `0`: never. Default 1 h. */
    readonly completed?: Duration
  }
  /**
   * What becomes of the jobs behind a dead letter under its key: `skip` lets the next one run, `block` keeps the key until somebody
   * retries, cancels or purges the dead letter. Default `skip`.
   */
  readonly onDead?: OnDead
}

export type OnDead = 'skip' | 'block'

/** A job's contract, shared by producers and workers. Carries no worker code. */
export interface Job<Input = unknown, Output = Input> {
  readonly type: string
  readonly queue: string
  readonly schema: StandardSchemaV1<Input, Output> | undefined
  readonly timeoutMs: number
  readonly retry: RetryPolicy
  readonly keepCompletedMs: number
  readonly onDead: OnDead
}

type InputOf<S> = S extends StandardSchemaV1<infer I, unknown> ? I : unknown
type OutputOf<S> = S extends StandardSchemaV1<unknown, infer O> ? O : unknown

const TYPE = /^[\w.:/-]{1,100}$/
const defined = new WeakSet<object>()

/**
 * Defines a kind of job. Throws ConfigError, or OptionError for a duration or queue name, for anything out of range.
 * @example const sendInvoice = defineJob({ type: 'invoice.send', payload: z.object({ orderId: z.string() }), queue: 'critical' })
 */
export function defineJob<Schema extends StandardSchemaV1 | undefined = undefined>(
  options: JobOptions<Schema>,
): Job<InputOf<Schema>, OutputOf<Schema>> {
  requireObject(options, 'defineJob takes an object { type, payload, queue, timeout, retry, keep, onDead }')
  const {
    type,
    payload,
    queue = 'default',
    timeout = '5m',
    retry = {},
    keep = {},
    onDead = 'skip',
    ...unknown
  } = options
  const strange = Object.keys(unknown)[0]
  if (strange !== undefined) {
    throw new ConfigError(
      `Job ${type} has an unknown option ${strange}. Known are type, payload, queue, timeout, retry, keep, onDead.`,
      {
        option: strange,
      },
    )
  }
  if (typeof type !== 'string' || !TYPE.test(type)) {
    throw new ConfigError(`A job's type is 1 to 100 of A-Z a-z 0-9 . _ : / -; found ${describeValue(type)}`, {
      option: 'type',
      found: type,
    })
  }
  requireObject(retry, `retry of job ${type} must be an object`)
  requireObject(keep, `keep of job ${type} must be an object`)
  const unkept = Object.keys(keep).find((name) => name !== 'completed')
  if (unkept !== undefined) {
    throw new ConfigError(`keep of job ${type} has an unknown option ${unkept}. Known is completed.`, {
      option: unkept,
    })
  }
  if (onDead !== 'skip' && onDead !== 'block') {
    throw new ConfigError(`onDead of job ${type} must be 'skip' or 'block'; found ${describeValue(onDead)}`, {
      option: 'onDead',
      found: onDead,
    })
  }
  if (payload !== undefined && !isSchema(payload)) {
    throw new ConfigError(
      `payload of job ${type} must be a Standard Schema, e.g. of zod, valibot or arktype; found ${describeValue(payload)}`,
      { option: 'payload' },
    )
  }
  const job = Object.freeze({
    type,
    queue: requireQueueName(queue),
    schema: payload as StandardSchemaV1<InputOf<Schema>, OutputOf<Schema>> | undefined,
    timeoutMs: parseDuration(timeout, `timeout of job ${type}`),
    retry: resolveRetry(retry, `retry of job ${type}`),
    keepCompletedMs: parseDuration(keep.completed ?? '1h', `keep.completed of job ${type}`),
    onDead,
  })
  defined.add(job)
  return job
}

/** Throws ConfigError for what cannot be a job: a caller without types may have written an object of his own. `where`: who was given it. */
export function requireJob(job: Job<never, unknown>, where: string): void {
  if (defined.has(job)) return
  // A copy with something changed, or a job of another copy of this package, will do.
  const isJob =
    typeof job === 'object' &&
    job !== null &&
    typeof job.type === 'string' &&
    TYPE.test(job.type) &&
    typeof job.queue === 'string' &&
    typeof job.timeoutMs === 'number' &&
    typeof job.retry === 'object' &&
    job.retry !== null &&
    (job.schema === undefined || isSchema(job.schema))
  if (isJob) {
    requireQueueName(job.queue)
    return
  }
  throw new ConfigError(
    `${where} takes a job made by defineJob({ type, ... }); found ${describeValue(job)}${hasType(job) ? ` with type ${describeValue(job.type)}` : ''}`,
    { option: 'job' },
  )
}

function requireObject(value: unknown, expected: string): void {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return
  throw new ConfigError(`${expected}; found ${describeValue(value)}`)
}

// Some kinds of schema are functions.
function isSchema(value: unknown): boolean {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return false
  const standard = (value as { '~standard'?: { validate?: unknown } })['~standard']
  return typeof standard?.validate === 'function'
}

function hasType(value: unknown): value is { readonly type: unknown } {
  return typeof value === 'object' && value !== null && 'type' in value
}

/** What a handler is told about its job. */
export interface JobInfo {
  readonly id: string
  readonly type: string
  readonly queue: string
  readonly key: string | undefined
  readonly headers: Readonly<Record<string, string>>
  /** Of which schedule and instant it is; undefined for a job of no schedule. */
  readonly schedule: ScheduledRun | undefined
  /** When it was accepted, by the server's clock. */
  readonly enqueuedAt: Date
  /** How often a worker died with it. */
  readonly stalls: number
  /** How often it was handed back by a worker that shut down. */
  readonly releases: number
}

export interface HandlerContext<Output = unknown> {
  readonly payload: Output
  readonly job: JobInfo
  /** 1 for the first attempt. Snoozes, releases and first stalls are not counted. */
  readonly attempt: number
  /** Aborts at the job's timeout, when the lease was lost, and when the worker stops. */
  readonly signal: AbortSignal
  /** Grows with every attempt of a job and of a key: hand it to outside systems so that they refuse a stale attempt. Fits a PostgreSQL bigint. */
  readonly fence: bigint
  readonly log: Logger
}

export type HandlerFunction<Output> = (context: HandlerContext<Output>) => unknown

/** A contract with the code that fulfils it. Only workers import it. */
export interface JobHandler {
  readonly job: Job<never, unknown>
  readonly run: HandlerFunction<never>
}

/**
 * Binds code to a contract. Throws ConfigError for what is no job or no function.
 * @example export const sendInvoiceHandler = handle(sendInvoice, async ({ payload, signal }) => { ... })
 */
export function handle<Input, Output>(job: Job<Input, Output>, run: HandlerFunction<Output>): JobHandler {
  requireJob(job as unknown as Job<never, unknown>, 'handle')
  if (typeof run !== 'function') {
    throw new ConfigError(`handle(${job.type}, run): run must be a function; found ${describeValue(run)}`, {
      option: 'run',
    })
  }
  return { job: job as unknown as Job<never, unknown>, run }
}
