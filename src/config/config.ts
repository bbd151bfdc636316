import { ConfigError } from '../errors.ts'
import type { Job } from '../job/job.ts'
import { configSchema } from './config-schema.ts'
import { explainIssues } from './config-issues.ts'
import type { App, ConfigInput, QueueInput } from './options.ts'

/** A configuration, complete: every default filled in, durations in ms, frozen. */
export interface MocaConfig {
  readonly namespace: string
  readonly redis: { readonly url: string; readonly connectTimeoutMs: number; readonly replyTimeoutMs: number }
  readonly queues: Readonly<Record<string, QueueConfig>>
  readonly apps: readonly App[]
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
}

export interface QueueConfig {
  readonly weight: number
  readonly concurrency: number | undefined
  readonly maxWaiting: number | undefined
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
 * Bundles an application's jobs. Throws ConfigError for anything that cannot be used.
 * @example defineApp({ name: 'billing', jobs: [sendInvoice], handlers: () => import("./handlers.ts") })
 */
export function defineApp(input: App): App {
  const { name, jobs, handlers, ...unknown } = input
  const strange = Object.keys(unknown)[0]
  if (strange !== undefined) refuseApp(strange, 'left out; known are name, jobs, handlers')
  if (typeof name !== 'string' || !APP_NAME.test(name))
    refuseApp('name', '1 to 64 of a-z 0-9 _ -, beginning with a letter or digit')
  if (!Array.isArray(jobs) || !jobs.every(isJob)) refuseApp('jobs', 'a list of jobs made by defineJob')
  if (typeof handlers !== 'function') refuseApp('handlers', 'a function that imports the module with the handlers')
  return Object.freeze({ name, jobs: Object.freeze([...jobs]), handlers })
}

function refuseApp(option: string, expected: string): never {
  throw new ConfigError(`defineApp: ${option} must be ${expected}`, { option, expected })
}

function isJob(value: unknown): value is Job {
  return typeof value === 'object' && value !== null && 'type' in value && 'queue' in value && 'retry' in value
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

// An empty variable counts as not set: that is what `REDIS_URL= moca ...` and an empty line of an env file mean.
function readEnvironment(env: Environment, variableNames: VariableNames) {
  const names = new Map<string, string>()
  const read = (variable: string, option: string) => {
    const value = env[variable]
    if (value) names.set(option, variableNames[variable] ?? variable)
    return value ? value : undefined
  }
  return { namespace: read('MOCA_NAMESPACE', 'namespace'), url: read('REDIS_URL', 'redis.url'), names }
}

function mergeInput(
  input: ConfigInput,
  overrides: { namespace: string | undefined; url: string | undefined },
): unknown {
  if (!isPlainObject(input)) return input
  const { redis = {}, queues = {} } = input as ConfigInput
  const merged: Record<string, unknown> = { ...input }
  if (overrides.namespace !== undefined) merged.namespace = overrides.namespace
  if (overrides.url !== undefined && isPlainObject(redis)) merged.redis = { ...redis, url: overrides.url }
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

function complete({ namespace, redis, queues, apps, queue, worker, history }: Parsed): MocaConfig {
  return {
    namespace,
    redis: { url: redis.url, connectTimeoutMs: redis.connectTimeout, replyTimeoutMs: redis.replyTimeout },
    queues: Object.fromEntries(
      Object.entries(queues).map(([name, { weight, concurrency, maxWaiting }]) => [
        name,
        { weight, concurrency, maxWaiting },
      ]),
    ),
    apps,
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
  }
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
