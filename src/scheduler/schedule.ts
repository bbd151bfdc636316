import { ConfigError } from '../errors.ts'
import { describeValue } from '../job/describe-value.ts'
import { type Duration, parseDuration } from '../job/duration.ts'
import { type Job, requireJob } from '../job/job.ts'
import { encodePayload } from '../job/payload.ts'
import { Timetable } from './timetable.ts'

/** What an application writes to have a job enqueued again and again. */
export interface ScheduleOptions<Input> {
  /** Unique: 1 to 64 of A-Z a-z 0-9 . _ -, beginning with a letter or digit. Its last fire is known by it: do not rename. */
  readonly name: string
  readonly job: Job<Input, unknown>
  readonly payload: Input
  /** Five fields, six with seconds first, or `@daily` and the like. Either this or `every`. */
  readonly cron?: string
  /** At the multiples of this time since 1970, 1 s or more. Either this or `cron`. */
  readonly every?: Duration
  /** Whose clock `cron` goes by, e.g. `Europe/Berlin`. Default `UTC`. */
  readonly timeZone?: string
  /** Each job starts up to so much after its instant, by chance, so that not all start at once. Default 0. */
  readonly jitter?: Duration
  /**
   * Of the instants at which no scheduler ran for longer than a failover (30 s): `skip` them, fire `once` for all of them, or `all`.
   * Default `once`.
   */
  readonly missed?: 'skip' | 'once' | 'all'
  /** What is later than this is not fired any more. Default 1 day. */
  readonly maxLate?: Duration
  /** While the job of the fire before is not done: `allow` another one, `skip` the fire, or `queue` it behind. Default `allow`. */
  readonly overlap?: 'allow' | 'skip' | 'queue'
}

/** A schedule as it was defined. Made by `defineSchedule`. */
export interface Schedule {
  readonly name: string
  readonly job: Job
  readonly payload: unknown
  readonly times: Times
  readonly rules: Rules
}

export interface Times {
  readonly cron: string | undefined
  readonly everyMs: number | undefined
  readonly timeZone: string
}

export interface Rules {
  readonly jitterMs: number
  readonly missed: 'skip' | 'once' | 'all'
  readonly maxLateMs: number
  readonly overlap: 'allow' | 'skip' | 'queue'
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
const KNOWN: readonly string[] = [
  'name',
  'job',
  'payload',
  'cron',
  'every',
  'timeZone',
  'jitter',
  'missed',
  'maxLate',
  'overlap',
]
const defined = new WeakSet<object>()

/**
 * Defines a schedule. Throws ConfigError, or OptionError for a duration, for anything that cannot be used.
 * @example defineSchedule({ name: 'report', job: sendReport, payload: {}, cron: '0 6 * * 1', timeZone: 'Europe/Berlin' })
 */
export function defineSchedule<Input>(options: ScheduleOptions<Input>): Schedule {
  if (typeof options !== 'object' || options === null) {
    throw new ConfigError(`defineSchedule takes an object { name, job, ... }; found ${describeValue(options)}`)
  }
  const { name, cron, every, timeZone = 'UTC', missed = 'once', overlap = 'allow' } = options
  requireScheduleName(name)
  const strange = Object.keys(options).find((option) => !KNOWN.includes(option))
  if (strange !== undefined) refuse(strange, `left out; known are ${KNOWN.join(', ')}`, options[strange as never], name)
  const job = options.job as unknown as Job
  requireJob(job as Job<never, unknown>, `Schedule ${name}`)
  if ((cron === undefined) === (every === undefined)) refuse('cron', 'given, or every: one of the two', cron, name)
  if (every !== undefined && options.timeZone !== undefined) refuse('timeZone', 'left out beside every', timeZone, name)
  if (!['skip', 'once', 'all'].includes(missed)) refuse('missed', `'skip', 'once' or 'all'`, missed, name)
  if (!['allow', 'skip', 'queue'].includes(overlap)) refuse('overlap', `'allow', 'skip' or 'queue'`, overlap, name)
  const everyMs = every === undefined ? undefined : parseDuration(every, `schedule ${name}: every`)
  if (everyMs !== undefined && everyMs < 1_000) refuse('every', '1 s or more', every, name)
  const times = Object.freeze({ cron, everyMs, timeZone })
  void new Timetable(times) // refuses what is no expression, and no zone
  const schedule = Object.freeze({
    name,
    job,
    payload: options.payload,
    times,
    rules: Object.freeze({
      jitterMs: parseDuration(options.jitter ?? 0, `schedule ${name}: jitter`),
      missed,
      maxLateMs: parseDuration(options.maxLate ?? '1d', `schedule ${name}: maxLate`),
      overlap,
    }),
  })
  defined.add(schedule)
  return schedule
}

export function isSchedule(value: unknown): value is Schedule {
  return typeof value === 'object' && value !== null && defined.has(value)
}

export function requireScheduleName(name: unknown): asserts name is string {
  if (typeof name === 'string' && NAME.test(name)) return
  refuse('name', '1 to 64 of A-Z a-z 0-9 . _ -, beginning with a letter or digit', name)
}

function refuse(option: string, expected: string, found: unknown, name?: string): never {
  const whose = name === undefined ? 'A schedule' : `Schedule ${name}`
  throw new ConfigError(`${whose}: ${option} must be ${expected}; found ${describeValue(found)}`, {
    option,
    found,
    expected,
  })
}

/** What Redis keeps of a schedule. */
export interface ScheduleDefinition {
  readonly source: 'config' | 'runtime'
  /** Compared as a text: a schedule whose times change begins anew. */
  readonly times: string
  readonly rules: Rules
  readonly type: string
  readonly queue: string
  /** JSON. */
  readonly payload: string
}

/** Rejects with PayloadError. */
export async function definitionText(
  { job, payload, times, rules }: Schedule,
  source: ScheduleDefinition['source'],
  maxPayloadBytes: number,
): Promise<string> {
  const text = await encodePayload(job as Job<never, unknown>, payload, maxPayloadBytes)
  const { type, queue } = job
  return JSON.stringify({ source, times: JSON.stringify(times), rules, type, queue, payload: text })
}
