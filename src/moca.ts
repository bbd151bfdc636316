import { systemClock } from './clock.ts'
import { type MocaConfig, resolveConfig } from './config/config.ts'
import type { ConfigInput } from './config/options.ts'
import { type Logger, silentLogger } from './logger.ts'
import { Outbox } from './outbox/outbox.ts'
import { Inspector } from './queue/inspector/inspector.ts'
import { ConfirmedCounts } from './queue/confirmed-counts.ts'
import { JobQueue } from './queue/job-queue.ts'
import { type Loss, LossDetector } from './queue/loss-detector.ts'
import { type NamespaceConnection, openNamespace } from './queue/namespace.ts'
import { Producer } from './queue/producer/producer.ts'
import { QueueReader } from './queue/inspector/queue-reader.ts'
import { Connection } from './redis/connection.ts'
import { Link } from './redis/link.ts'

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
  /** Needs neither Redis nor a connection: it uses those of the transactions that it is given. */
  readonly outbox: Outbox
  readonly log: Logger
  /** Shared by everything of this process that is told how much the server has accepted. */
  readonly losses: LossDetector
  readonly #producer: Producer
  readonly #link: Link<NamespaceConnection>

  constructor(options: MocaOptions = {}) {
    const { logger = silentLogger, onLoss, ...input } = options
    this.config = resolveConfig(input)
    this.log = logger
    this.losses = new LossDetector(logger, onLoss)
    this.#link = new Link(() => this.#open(), logger)
    const { queue, queues, postgres, outbox, events } = this.config
    this.outbox = new Outbox({ schema: postgres.schema, source: events.source, maxBytes: outbox.maxBytes })
    this.#producer = new Producer({
      link: this.#link,
      counts: new ConfirmedCounts(this.losses),
      clock: systemClock,
      options: {
        ...queue,
        maxWaiting: Object.fromEntries(Object.entries(queues).map(([name, { maxWaiting }]) => [name, maxWaiting])),
      },
    })
    const reader = new QueueReader(this.config.namespace, () => this.#link.ready(this.config.redis.connectTimeoutMs))
    this.queue = new JobQueue(this.#producer, new Inspector(reader))
  }

  /** Connects now instead of on first use. Rejects when the server cannot be reached in time or must not be used. */
  async connect(): Promise<this> {
    await this.#link.ready(this.config.redis.connectTimeoutMs)
    return this
  }

  /** Refuses new jobs, lets those under way settle, and ends the connection. Twice is harmless. */
  async close(): Promise<void> {
    await this.#producer.close()
    await this.#link.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #open(): Promise<NamespaceConnection> {
    const { redis, namespace } = this.config
    const connection = await Connection.open(redis, `moca:${namespace}:producer`)
    try {
      const open = await openNamespace(connection, namespace, {
        queues: [],
        makeGroups: false,
        seenMs: this.losses.seenMs,
      })
      await this.losses.compare(open)
      return open
    } catch (error) {
      connection.destroy()
      throw error
    }
  }
}

/**
 * Makes a Moca. Assigns only: it connects on first use, or by `connect()`. Throws ConfigError.
 * @example const moca = createMoca({ namespace: 'shop', redis: { url: 'redis://127.0.0.1:6379' } })
 */
export function createMoca(options: MocaOptions = {}): Moca {
  return new Moca(options)
}
