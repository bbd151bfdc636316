import { ConfigError } from '../errors.ts'
import type { Doctype } from '../doctype/doctype.ts'
import type { IndexHook } from '../doctype/index-hook.ts'
import type { Subscription } from '../events/subscription.ts'
import type { Job } from '../job/job.ts'
import type { PublishHook } from '../events/publish-hook.ts'
import type { OwnedHook } from '../hook.ts'
import type { AttemptHook, EnqueueHook } from '../job/job-hooks.ts'
import { isSchedule, type Schedule } from '../scheduler/schedule.ts'
import { configSchema, HOOKS_EXPECTED, isHooks } from './config-schema.ts'
import { explainIssues } from './config-issues.ts'
import type { App, AppInput, ConfigInput, Hooks, QueueInput } from './options.ts'

/** A configuration, complete: every default filled in, durations in ms, frozen. */
export interface MocaConfig {
  readonly namespace: string
  readonly redis: { readonly url: string; readonly connectTimeoutMs: number; readonly replyTimeoutMs: number }
  readonly postgres: PostgresConfig
  readonly queues: Readonly<Record<string, QueueConfig>>
  readonly apps: readonly App[]
  /** Of the configuration, then of its apps. */
  readonly schedules: readonly Schedule[]
  readonly scheduler: { readonly healthPort: number | undefined; readonly healthHost: string | undefined }
  readonly queue: {
    readonly enqueueTimeoutMs: number
    readonly maxPayloadBytes: number
    readonly idempotencyTtlMs: number
    readonly maxPendingJobs: number
  }
  readonly worker: {
    readonly concurrency: number
    readonly leaseMs: number
    readonly sweepIntervalMs: number
    readonly softTimeoutMs: number
    readonly stopTimeoutMs: number
    readonly graceMs: number
    readonly maxBlockedMs: number
    readonly maxStalls: number
    readonly unhandledGraceMs: number
    readonly strict: boolean
    readonly handBackMs: number
    readonly healthPort: number | undefined
    readonly healthHost: string | undefined
  }
  readonly history: { readonly entries: number; readonly ageMs: number }
  readonly outbox: {
    readonly leaseMs: number
    readonly pollIntervalMs: number
    readonly retention: { readonly ageMs: number; readonly bytes: number | undefined }
    readonly redriveMaxMs: number
    readonly maxBytes: number
    readonly healthPort: number | undefined
    readonly healthHost: string | undefined
  }
  readonly events: { readonly source: string | undefined; readonly perDoctypeTopics: boolean }
  readonly search: {
    readonly inRelays: boolean
    readonly leaseMs: number
    readonly healthPort: number | undefined
    readonly healthHost: string | undefined
  }
  /** Of the configuration, then of its apps: the first is outermost. */
  readonly hooks: {
    readonly enqueue: readonly OwnedHook<EnqueueHook>[]
    readonly attempt: readonly OwnedHook<AttemptHook>[]
    readonly publish: readonly OwnedHook<PublishHook>[]
    readonly index: readonly OwnedHook<IndexHook>[]
  }
}

export interface PostgresConfig {
  /** Undefined: there is no PostgreSQL. */
  readonly url: string | undefined
  readonly schema: string
  readonly maxConnections: number
  readonly connectTimeoutMs: number
  readonly replyTimeoutMs: number
}

export interface QueueConfig {
  readonly weight: number
  readonly concurrency: number | undefined
  readonly maxWaiting: number | undefined
}

/** How many jobs may wait in each queue. */
export function maxWaitingOf({ queues }: Pick<MocaConfig, 'queues'>): Readonly<Record<string, number | undefined>> {
  return Object.fromEntries(Object.entries(queues).map(([name, { maxWaiting }]) => [name, maxWaiting]))
}

export type Environment = Readonly<Record<string, string | undefined>>

/** What a person who set a variable knows it by, where that is not its own name: the flag of a command. */
export type VariableNames = Readonly<Record<string, string>>

const BUILT_IN_QUEUES: Readonly<Record<string, QueueInput>> = {
  critical: { weight: 6 },
  default: { weight: 3 },
  long: { weight: 1 },
}

/** Gives an editor the types of a configuration. Nothing is checked before it is used, by `resolveConfig`. */
export function defineConfig(input: ConfigInput): ConfigInput {
  return input
}

const APP_NAME = /^[a-z0-9][a-z0-9_-]{0,63}$/

/**
 * Bundles an application's jobs, schedules, subscriptions and doctypes. Throws ConfigError for anything that cannot be used.
 * @example defineApp({ name: 'billing', jobs: [sendInvoice], subscriptions: [orderMails], handlers: () => import("./handlers.ts") })
 */
export function defineApp(input: AppInput): App {
  const { name, jobs = [], subscriptions = [], doctypes = [], schedules = [], handlers, hooks = {}, ...unknown } = input
  const strange = Object.keys(unknown)[0]
  if (strange !== undefined)
    refuseApp(strange, 'left out; known are name, jobs, schedules, subscriptions, doctypes, handlers, hooks')
  if (typeof name !== 'string' || !APP_NAME.test(name))
    refuseApp('name', '1 to 64 of a-z 0-9 _ -, beginning with a letter or digit')
  if (!Array.isArray(jobs) || !jobs.every(isJob)) refuseApp('jobs', 'a list of jobs made by defineJob')
  if (!Array.isArray(subscriptions) || !subscriptions.every(isSubscription))
    refuseApp('subscriptions', 'a list of subscriptions made by defineSubscription')
  if (!Array.isArray(doctypes) || !doctypes.every(isDoctype))
    refuseApp('doctypes', 'a list of doctypes made by defineDoctype')
  if (!Array.isArray(schedules) || !schedules.every(isSchedule))
    refuseApp('schedules', 'a list of schedules made by defineSchedule')
  if (typeof handlers !== 'function') refuseApp('handlers', 'a function that imports the module with the handlers')
  if (!isHooks(hooks)) refuseApp('hooks', HOOKS_EXPECTED)
  return Object.freeze({
    name,
    jobs: Object.freeze([...jobs]),
    subscriptions: Object.freeze([...subscriptions]),
    doctypes: Object.freeze([...doctypes]),
    schedules: Object.freeze([...schedules]),
    handlers,
    hooks: Object.freeze({ ...hooks }),
  })
}

function refuseApp(option: string, expected: string): never {
  throw new ConfigError(`defineApp: ${option} must be ${expected}`, { option, expected })
}

function isJob(value: unknown): value is Job {
  return typeof value === 'object' && value !== null && 'type' in value && 'queue' in value && 'retry' in value
}

function isSubscription(value: unknown): value is Subscription {
  return typeof value === 'object' && value !== null && 'topics' in value && 'job' in value && isJob(value.job)
}

function isDoctype(value: unknown): value is Doctype {
  return typeof value === 'object' && value !== null && 'table' in value && 'key' in value && 'omit' in value
}

/**
 * Fills in defaults, lets the environment override, checks everything and freezes it.
 * Throws one ConfigError that names every value that cannot be used: where it stands, what was found, what was expected.
 */
export function resolveConfig(
  input: ConfigInput = {},
  env: Environment = process.env,
  variableNames: VariableNames = {},
): MocaConfig {
  const overrides = readEnvironment(env, variableNames)
  const merged = mergeInput(input, overrides)
  const parsed = configSchema.safeParse(merged)
  if (!parsed.success) throw explainIssues(parsed.error.issues, merged, overrides.names)
  return deepFreeze(complete(parsed.data))
}

/** Which servers somebody named, in the configuration or by the environment. The others are those of the defaults, or there are none. */
export function namedServers(
  input: ConfigInput,
  env: Environment = process.env,
): { readonly redis: boolean; readonly postgres: boolean } {
  const { redisUrl, postgresUrl } = readEnvironment(env, {})
  return {
    redis: (redisUrl ?? input.redis?.url) !== undefined,
    postgres: (postgresUrl ?? input.postgres?.url) !== undefined,
  }
}

/** The settings of PostgreSQL. Throws ConfigError where there is none: `what` needs it. */
export function requirePostgres({ postgres }: MocaConfig, what: string): PostgresConfig & { readonly url: string } {
  const { url, ...rest } = postgres
  if (url !== undefined) return { url, ...rest }
  throw new ConfigError(
    `${what} needs PostgreSQL: set postgres.url, or DATABASE_URL, to postgres://user:password@host:port/database`,
    { option: 'postgres.url' },
  )
}

interface Overrides {
  readonly namespace: string | undefined
  readonly redisUrl: string | undefined
  readonly postgresUrl: string | undefined
  /** Option -> what a person who set it knows it by. */
  readonly names: ReadonlyMap<string, string>
}

// An empty variable counts as not set: that is what `REDIS_URL= moca ...` and an empty line of an env file mean.
function readEnvironment(env: Environment, variableNames: VariableNames): Overrides {
  const names = new Map<string, string>()
  const read = (variable: string, option: string, isMeant: RegExp = /./) => {
    const value = env[variable]
    if (!value || !isMeant.test(value)) return undefined
    names.set(option, variableNames[variable] ?? variable)
    return value
  }
  return {
    namespace: read('MOCA_NAMESPACE', 'namespace'),
    redisUrl: read('REDIS_URL', 'redis.url'),
    // A common name: it may well be that of the application's MySQL, which is no mistake.
    postgresUrl: read('DATABASE_URL', 'postgres.url', /^postgres/i),
    names,
  }
}

function mergeInput(input: ConfigInput, { namespace, redisUrl, postgresUrl }: Overrides): unknown {
  if (!isPlainObject(input)) return input
  const { redis = {}, postgres = {}, queues = {} } = input as ConfigInput
  const merged: Record<string, unknown> = { ...input }
  if (namespace !== undefined) merged.namespace = namespace
  if (redisUrl !== undefined && isPlainObject(redis)) merged.redis = { ...redis, url: redisUrl }
  if (postgresUrl !== undefined && isPlainObject(postgres)) merged.postgres = { ...postgres, url: postgresUrl }
  merged.queues = isPlainObject(queues) ? mergeQueues(queues) : queues
  return merged
}

function mergeQueues(queues: Record<string, unknown>): Record<string, unknown> {
  const merged: Record<string, unknown> = { ...BUILT_IN_QUEUES }
  for (const [name, queue] of Object.entries(queues)) {
    merged[name] = isPlainObject(queue) ? { ...BUILT_IN_QUEUES[name], ...queue } : queue
  }
  return merged
}

type Parsed = ReturnType<typeof configSchema.parse>

function complete(parsed: Parsed): MocaConfig {
  const {
    namespace,
    redis,
    postgres,
    queues,
    apps,
    queue,
    worker,
    history,
    outbox,
    events,
    search,
    hooks,
    schedules,
    scheduler,
  } = parsed
  return {
    namespace,
    redis: { url: redis.url, connectTimeoutMs: redis.connectTimeout, replyTimeoutMs: redis.replyTimeout },
    postgres: {
      url: postgres.url,
      schema: postgres.schema,
      maxConnections: postgres.maxConnections,
      connectTimeoutMs: postgres.connectTimeout,
      replyTimeoutMs: postgres.replyTimeout,
    },
    queues: Object.fromEntries(
      Object.entries(queues).map(([name, { weight, concurrency, maxWaiting }]) => [
        name,
        { weight, concurrency, maxWaiting },
      ]),
    ),
    apps,
    schedules: [...schedules, ...apps.flatMap((app) => app.schedules ?? [])],
    scheduler: { healthPort: scheduler.healthPort, healthHost: scheduler.healthHost },
    queue: {
      enqueueTimeoutMs: queue.enqueueTimeout,
      maxPayloadBytes: queue.maxPayloadBytes,
      idempotencyTtlMs: queue.idempotencyTtl,
      maxPendingJobs: queue.maxPendingJobs,
    },
    worker: {
      concurrency: worker.concurrency,
      leaseMs: worker.lease,
      sweepIntervalMs: worker.sweepInterval ?? Math.round(worker.lease / 2),
      softTimeoutMs: worker.softTimeout,
      stopTimeoutMs: worker.stopTimeout,
      graceMs: worker.grace,
      maxBlockedMs: worker.maxBlocked,
      maxStalls: worker.maxStalls,
      unhandledGraceMs: worker.unhandledGrace,
      strict: worker.strict,
      handBackMs: worker.handBack,
      healthPort: worker.healthPort,
      healthHost: worker.healthHost,
    },
    history: { entries: history.entries, ageMs: history.age },
    outbox: {
      leaseMs: outbox.lease,
      pollIntervalMs: outbox.pollInterval,
      retention: Object.freeze({ ageMs: outbox.retention.age, bytes: outbox.retention.bytes }),
      redriveMaxMs: outbox.redriveMax,
      maxBytes: outbox.maxBytes,
      healthPort: outbox.healthPort,
      healthHost: outbox.healthHost,
    },
    events: { source: events.source, perDoctypeTopics: events.perDoctypeTopics },
    search: {
      inRelays: search.inRelays,
      leaseMs: search.lease,
      healthPort: search.healthPort,
      healthHost: search.healthHost,
    },
    hooks: completeHooks(hooks, apps),
  }
}

function completeHooks(own: Hooks, apps: readonly App[]): MocaConfig['hooks'] {
  const all = [
    { owner: 'the configuration', hooks: own },
    ...apps.map(({ name, hooks }) => ({ owner: `app ${name}`, hooks })),
  ]
  const of = <Kind extends keyof Hooks>(kind: Kind) =>
    Object.freeze(
      all.flatMap(({ owner, hooks }) => {
        const run = hooks?.[kind]
        return run ? [Object.freeze({ owner, run })] : []
      }),
    )
  return { enqueue: of('enqueue'), attempt: of('attempt'), publish: of('publish'), index: of('index') }
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

// Apps hold the user's own objects (schemas): they are frozen by defineApp and defineJob as far as they are ours.
function deepFreeze(config: MocaConfig): MocaConfig {
  for (const queue of Object.values(config.queues)) Object.freeze(queue)
  for (const part of Object.values(config)) Object.freeze(part)
  return Object.freeze(config)
}
