import type { StandardSchemaV1 } from '@standard-schema/spec'
import { ConfigError } from '../errors.ts'
import { describeValue } from '../job/describe-value.ts'
import type { Duration } from '../job/duration.ts'
import { defineJob, handle, type HandlerContext, type Job, type JobHandler, type JobInfo } from '../job/job.ts'
import type { RetryOptions } from '../job/retry-policy.ts'
import type { Logger } from '../logger.ts'
import type { Envelope } from './event.ts'
import { isTopicPattern } from './topic.ts'

/** What an application writes to subscribe to events. */
export interface SubscriptionOptions<Schema extends StandardSchemaV1 | undefined = StandardSchemaV1 | undefined> {
  /** Unique: 1 to 64 of A-Z a-z 0-9 . _ -, beginning with a letter or digit. Where it stands in the log is known by it: do not rename. */
  readonly name: string
  /** Names of topics, or their beginnings: `shop.*`. */
  readonly topics: readonly string[]
  /** Only events of these doctypes. Default: all, and those without. */
  readonly doctypes?: readonly string[]
  /** Only events of these types. Default: all. */
  readonly types?: readonly string[]
  /** Only events of these sites. Default: all, and those without. */
  readonly sites?: readonly string[]
  /** The queue of its jobs. Default `default`. */
  readonly queue?: string
  /**
   * Which recorded events are its own when it is registered for the first time: from now on, all that the log has, or those since an
   * instant. Emitted events are its own from then on. Default `now`. The past needs PostgreSQL.
   */
  readonly start?: 'now' | 'beginning' | Date
  /** As of a job. */
  readonly retry?: RetryOptions
  /** As of a job: longest run of one attempt. Default 5 min. */
  readonly timeout?: Duration
  /**
   * What becomes of later events of a key when one of it is a dead letter: `block` keeps them until somebody retries, cancels or purges
   * it; `skip` lets them pass. Default `block`.
   */
  readonly onDead?: 'skip' | 'block'
  /** What `data` of its events must be; the handler gets the schema's output. One that does not fit is a dead letter. Default: any JSON. */
  readonly data?: Schema
}

/** What is registered of a subscription: enough to tell which events are its own, and to make jobs of them. */
export interface SubscriptionDefinition {
  readonly name: string
  readonly topics: readonly string[]
  /** Undefined, here and below: any. */
  readonly doctypes: readonly string[] | undefined
  readonly types: readonly string[] | undefined
  readonly sites: readonly string[] | undefined
  readonly queue: string
  readonly onDead: 'skip' | 'block'
}

/** A subscription's contract, shared by whoever registers it and by workers. Carries no worker code. */
export interface Subscription<Data = unknown> extends SubscriptionDefinition {
  /** `now`, `beginning` or an instant (ISO 8601). */
  readonly start: string
  /** Each of its events is one such job: type `event:<name>`, and the envelope as the payload. */
  readonly job: Job<Envelope, Envelope<Data>>
}

type OutputOf<S> = S extends StandardSchemaV1<infer _Input, infer Output> ? Output : unknown

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
const KNOWN: readonly string[] = [
  'name',
  'topics',
  'doctypes',
  'types',
  'sites',
  'queue',
  'start',
  'retry',
  'timeout',
  'onDead',
  'data',
]
const defined = new WeakSet<object>()

/** Under which header a job of a subscription names the topic that its event came by. */
export const TOPIC_HEADER = 'moca-topic'

/**
 * Defines a subscription. Throws ConfigError, or OptionError for a duration or queue name, for anything out of range.
 * @example const orderMails = defineSubscription({ name: 'order-mails', topics: ['shop.orders'], types: ['order.paid'] })
 */
export function defineSubscription<Schema extends StandardSchemaV1 | undefined = undefined>(
  options: SubscriptionOptions<Schema>,
): Subscription<OutputOf<Schema>> {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new ConfigError(`defineSubscription takes an object { name, topics, ... }; found ${describeValue(options)}`)
  }
  const { name, queue = 'default', retry = {}, timeout = '5m', data, start = 'now', onDead = 'block' } = options
  if (typeof name !== 'string' || !NAME.test(name)) {
    throw refusal('name', `1 to 64 of A-Z a-z 0-9 . _ -, beginning with a letter or digit`, name)
  }
  const strange = Object.keys(options).find((option) => !KNOWN.includes(option))
  if (strange !== undefined) {
    throw new ConfigError(`Subscription ${name} has an unknown option ${strange}. Known are ${KNOWN.join(', ')}.`, {
      option: strange,
    })
  }
  if (onDead !== 'block' && onDead !== 'skip') throw refusal('onDead', `'block' or 'skip'`, onDead, name)
  if (data !== undefined && !isSchema(data)) {
    throw refusal('data', 'a Standard Schema, e.g. of zod, valibot or arktype', data, name)
  }
  const job = defineJob({ type: jobTypeOf(name), queue, retry, timeout, onDead, payload: envelopeOf(data) })
  const subscription = Object.freeze({
    name,
    topics: requireTexts(options.topics, 'topics', name, isTopicPattern, 'topics like shop.orders or shop.*'),
    doctypes: optionalTexts(options.doctypes, 'doctypes', name),
    types: optionalTexts(options.types, 'types', name),
    sites: optionalTexts(options.sites, 'sites', name),
    queue: job.queue,
    onDead,
    start: requireStart(start, name),
    job: job as unknown as Job<Envelope, Envelope<OutputOf<Schema>>>,
  })
  defined.add(subscription)
  return subscription
}

/** The type of a subscription's jobs. */
export function jobTypeOf(name: string): string {
  return `event:${name}`
}

/** Throws ConfigError for what defineSubscription did not make. `where`: who was given it. */
export function requireSubscription(value: unknown, where: string): void {
  if (typeof value === 'object' && value !== null && defined.has(value)) return
  throw new ConfigError(
    `${where} takes a subscription made by defineSubscription({ name, topics, ... }); found ${describeValue(value)}`,
    { option: 'subscription' },
  )
}

/** What stands beside the name in a registry, JSON: the same text for subscriptions that ask for the same. */
export function definitionText(subscription: SubscriptionDefinition): string {
  const { topics, doctypes, types, sites, queue, onDead } = subscription
  return JSON.stringify({ topics, doctypes, types, sites, queue, onDead })
}

/** Reads what was registered, by this release or another. Throws ConfigError for what cannot be a definition. */
export function readDefinition(name: string, value: unknown): SubscriptionDefinition {
  const found = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>
  const { topics, doctypes, types, sites, queue = 'default', onDead = 'block' } = found
  const definition = {
    name,
    topics,
    doctypes: doctypes ?? undefined,
    types: types ?? undefined,
    sites: sites ?? undefined,
    queue,
    onDead,
  }
  const { start: _start, job: _job, ...read } = defineSubscription(definition as unknown as SubscriptionOptions)
  return read
}

/** What the handler of a subscription's events gets. */
export interface EventContext<Data = unknown> {
  readonly event: Envelope<Data>
  /** The topic by which it came. */
  readonly topic: string
  readonly job: JobInfo
  /** 1 for the first attempt. */
  readonly attempt: number
  readonly signal: AbortSignal
  /** Grows with every attempt of an event and of a key: hand it to outside systems so that they refuse a stale attempt. */
  readonly fence: bigint
  readonly log: Logger
}

/**
 * Binds code to a subscription. Only workers import it. Throws ConfigError for what is no subscription or no function.
 * @example export const orderMailsHandler = handleEvent(orderMails, async ({ event, signal }) => { ... })
 */
export function handleEvent<Data>(
  subscription: Subscription<Data>,
  run: (context: EventContext<Data>) => unknown,
): JobHandler {
  requireSubscription(subscription, 'handleEvent')
  if (typeof run !== 'function') {
    throw new ConfigError(
      `handleEvent(${subscription.name}, run): run must be a function; found ${describeValue(run)}`,
      { option: 'run' },
    )
  }
  return handle(subscription.job, (context) => run(new LazyContext(context)))
}

/** What costs is made when it is asked for, as in the context that it stands for. */
class LazyContext<Data> implements EventContext<Data> {
  readonly event: Envelope<Data>
  readonly #context: HandlerContext<Envelope<Data>>

  constructor(context: HandlerContext<Envelope<Data>>) {
    this.event = context.payload
    this.#context = context
  }

  get topic(): string {
    return this.job.headers[TOPIC_HEADER] ?? ''
  }

  get job(): JobInfo {
    return this.#context.job
  }

  get attempt(): number {
    return this.#context.attempt
  }

  get signal(): AbortSignal {
    return this.#context.signal
  }

  get fence(): bigint {
    return this.#context.fence
  }

  get log(): Logger {
    return this.#context.log
  }
}

function refusal(option: string, expected: string, found: unknown, name?: string): ConfigError {
  const where = name === undefined ? 'a subscription' : `subscription ${name}`
  return new ConfigError(`${option} of ${where} must be ${expected}; found ${describeValue(found)}`, { option, found })
}

function optionalTexts(texts: unknown, option: string, name: string): readonly string[] | undefined {
  if (texts === undefined) return undefined
  const isText = (text: unknown): text is string => typeof text === 'string' && text !== '' && text.isWellFormed()
  return requireTexts(texts, option, name, isText, 'texts')
}

/** A list, sorted and each once. An empty one would be a subscription that never gets anything. */
function requireTexts(
  texts: unknown,
  option: string,
  name: string,
  isFitting: (text: unknown) => text is string,
  expected: string,
): readonly string[] {
  if (!Array.isArray(texts) || texts.length === 0) throw refusal(option, `a list of ${expected}`, texts, name)
  for (const text of texts) {
    if (!isFitting(text)) throw refusal(option, `a list of ${expected}`, text, name)
  }
  return Object.freeze([...new Set(texts as string[])].toSorted())
}

function requireStart(start: unknown, name: string): string {
  if (start === 'now' || start === 'beginning') return start
  if (start instanceof Date && !Number.isNaN(start.getTime())) return start.toISOString()
  throw refusal('start', `'now', 'beginning' or a valid Date`, start, name)
}

function isSchema(value: unknown): value is StandardSchemaV1 {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return false
  const standard = (value as { '~standard'?: { validate?: unknown } })['~standard']
  return typeof standard?.validate === 'function'
}

/** The schema of a subscription's jobs: an envelope whose data is as the subscription's schema says. */
function envelopeOf(data: StandardSchemaV1 | undefined): StandardSchemaV1<Envelope, Envelope> {
  return {
    '~standard': {
      version: 1,
      vendor: 'moca',
      validate: (value) => {
        if (!isEnvelope(value)) return { issues: [{ message: 'expected the envelope of an event' }] }
        if (!data) return { value }
        const result = data['~standard'].validate(value.data)
        return result instanceof Promise ? result.then((settled) => putBack(value, settled)) : putBack(value, result)
      },
    },
  }
}

function isEnvelope(value: unknown): value is Envelope {
  return typeof value === 'object' && value !== null && 'event_id' in value && 'event_type' in value && 'data' in value
}

function putBack(envelope: Envelope, result: StandardSchemaV1.Result<unknown>): StandardSchemaV1.Result<Envelope> {
  if (!result.issues) return { value: { ...envelope, data: result.value } }
  return { issues: result.issues.map(({ message, path = [] }) => ({ message, path: ['data', ...path] })) }
}
