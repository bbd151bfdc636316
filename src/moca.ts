import { systemClock } from './clock.ts'
import { maxWaitingOf, type MocaConfig, resolveConfig } from './config/config.ts'
import type { ConfigInput } from './config/options.ts'
import { RedisEventBackend } from './events/backends/redis/redis-event-backend.ts'
import { RedisListener } from './events/backends/redis/redis-listener.ts'
import { RedisSubscriptions } from './events/backends/redis/redis-subscriptions.ts'
import { Emitter } from './events/emitter.ts'
import { Events } from './events/events.ts'
import { Notifier } from './events/notifier.ts'
import { SubscriptionMirror } from './events/subscription-mirror.ts'
import type { SubscriptionRegistry } from './events/subscription-registry.ts'
import { type Logger, silentLogger } from './logger.ts'
import { EventLog } from './outbox/event-log.ts'
import { Outbox } from './outbox/outbox.ts'
import { Subscriptions } from './outbox/subscriptions.ts'
import { Database } from './postgres/database.ts'
import { Inspector } from './queue/inspector/inspector.ts'
import { ConfirmedCounts } from './queue/confirmed-counts.ts'
import { JobQueue } from './queue/job-queue.ts'
import { type Loss, LossDetector } from './queue/loss-detector.ts'
import { linkNamespace } from './queue/link-namespace.ts'
import type { NamespaceConnection } from './queue/namespace.ts'
import { NamespaceAccess } from './queue/namespace-access.ts'
import { NoteReader } from './queue/note-reader.ts'
import { Producer } from './queue/producer/producer.ts'
import { QueueReader } from './queue/inspector/queue-reader.ts'
import { Receiver } from './queue/receiver/receiver.ts'
import type { Link } from './redis/link.ts'
import { KeptSchedules } from './scheduler/kept-schedules.ts'
import { ScheduleStore } from './scheduler/schedule-store.ts'
import { Schedules } from './scheduler/schedules.ts'
import { PostgresEngine } from './search/engines/postgres/postgres-engine.ts'
import { Search } from './search/search.ts'

export interface MocaOptions extends ConfigInput {
  /** Where to log. A pino logger fits. Default: nowhere. */
  readonly logger?: Logger
  /** Called when the server forgot accepted jobs that this process had enqueued or counted. */
  readonly onLoss?: (loss: Loss) => void
}

/** What an application holds: the way to enqueue jobs and to look at them, and to record jobs and events in its transactions. */
export class Moca {
  readonly config: MocaConfig
  readonly queue: JobQueue
  readonly events: Events
  readonly scheduler: Schedules
  readonly search: Search
  /** Needs neither Redis nor a connection: it uses those of the transactions that it is given. */
  readonly outbox: Outbox
  readonly log: Logger
  /** Shared by everything of this process that is told how much the server has accepted. */
  readonly losses: LossDetector
  /** Where subscriptions are registered: in PostgreSQL where there is one. */
  readonly registry: SubscriptionRegistry
  /** Makes events of what the queue noted. Processes of workers and relays run it. */
  readonly notifier: Notifier
  readonly #producer: Producer
  readonly #link: Link<NamespaceConnection>
  readonly #database: Database | undefined
  readonly #backend: RedisEventBackend
  readonly #emitter: Emitter

  constructor(options: MocaOptions = {}) {
    const { logger = silentLogger, onLoss, ...input } = options
    this.config = resolveConfig(input)
    this.log = logger
    this.losses = new LossDetector(logger, onLoss)
    const { redis, namespace, queue, postgres, outbox, events, hooks } = this.config
    this.#link = linkNamespace({ redis, namespace, role: 'producer', losses: this.losses, log: logger })
    const { schema } = postgres
    this.outbox = new Outbox({ schema, source: events.source, maxBytes: outbox.maxBytes, hooks })
    const maxWaiting = maxWaitingOf(this.config)
    const counts = new ConfirmedCounts(this.losses)
    const producing = { ...queue, maxWaiting }
    this.#producer = new Producer({ link: this.#link, counts, clock: systemClock, options: producing })
    const reader = new QueueReader(namespace, () => this.#link.ready(redis.connectTimeoutMs))
    this.queue = new JobQueue(this.#producer, new Inspector(reader), hooks.enqueue)

    const timeoutMs = queue.enqueueTimeoutMs
    const receiver = new Receiver({ link: this.#link, counts, clock: systemClock, maxWaiting, timeoutMs })
    const access = new NamespaceAccess(this.#link, namespace, redis.connectTimeoutMs)
    this.#database = databaseOf(this.config)
    this.scheduler = new Schedules({
      store: new ScheduleStore(access),
      receiver,
      clock: systemClock,
      maxPayloadBytes: queue.maxPayloadBytes,
      kept: this.#database && new KeptSchedules(this.#database, schema),
    })
    this.search = new Search(this.#database && new PostgresEngine({ database: this.#database, schema }))
    // Those who emit go by what is in Redis: a copy of the rows in PostgreSQL where there are any.
    const copy = new RedisSubscriptions(access)
    const rows = this.#database && new Subscriptions(this.#database, postgres.schema)
    const mirror = rows && new SubscriptionMirror(rows, copy)
    this.registry = rows ?? copy
    this.notifier = new Notifier({ notes: new NoteReader({ access, receiver }), registry: mirror ?? copy })
    const name = `moca:${namespace}:listener`
    const listener = new RedisListener({ options: redis, prefix: access.prefix, name, log: logger })
    this.#backend = new RedisEventBackend({ redis: access, receiver, subscriptions: mirror ?? copy, listener })
    this.#emitter = new Emitter({
      backend: this.#backend,
      clock: systemClock,
      options: {
        timeoutMs,
        maxBytes: queue.maxPayloadBytes,
        source: events.source,
        maxPending: queue.maxPendingJobs,
      },
    })
    this.events = new Events({
      emitter: this.#emitter,
      backend: this.#backend,
      registry: this.registry,
      mirror,
      history: this.#database && new EventLog(this.#database, postgres.schema),
      replay: { receiver, registry: mirror ?? copy },
      hooks: hooks.publish,
      log: logger,
    })
  }

  /** Connects now instead of on first use. Rejects when the server cannot be reached in time or must not be used. */
  async connect(): Promise<this> {
    await this.#link.ready(this.config.redis.connectTimeoutMs)
    return this
  }

  /** Refuses new jobs and events, lets those under way settle, and ends the connections. Twice is harmless. */
  async close(): Promise<void> {
    await Promise.all([this.#producer.close(), this.#emitter.close()])
    await Promise.all([this.#backend.close(), this.#link.close(), this.#database?.close()])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

/** It connects on first use. */
function databaseOf({ postgres, namespace }: MocaConfig): Database | undefined {
  const { url } = postgres
  return url === undefined ? undefined : new Database({ ...postgres, url, name: `moca:${namespace}` })
}

/**
 * Makes a Moca. Assigns only: it connects on first use, or by `connect()`. Throws ConfigError.
 * @example const moca = createMoca({ namespace: 'shop', redis: { url: 'redis://127.0.0.1:6379' } })
 */
export function createMoca(options: MocaOptions = {}): Moca {
  return new Moca(options)
}
