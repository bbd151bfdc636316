import type { MocaConfig } from '../config/config.ts'
import { RedisSubscriptions } from '../events/backends/redis/redis-subscriptions.ts'
import type { RegisteredSubscription } from '../events/subscription-registry.ts'
import { silentLogger } from '../logger.ts'
import { requireSchema } from '../outbox/migrations.ts'
import { OutboxReader, type OutboxStatus } from '../outbox/outbox-status.ts'
import { Subscriptions } from '../outbox/subscriptions.ts'
import { describePostgresUrl } from '../postgres/connection.ts'
import { Database } from '../postgres/database.ts'
import { Inspector, type LossReport, type QueueCounts, type WorkerView } from '../queue/inspector/inspector.ts'
import { QueueReader } from '../queue/inspector/queue-reader.ts'
import { lendNamespace } from '../queue/lent-namespace.ts'
import { type NamespaceConnection, openNamespace } from '../queue/namespace.ts'
import { Connection, describeUrl } from '../redis/connection.ts'
import { ScheduleStore } from '../scheduler/schedule-store.ts'
import { searchIndexesOf } from '../search-indexes.ts'
import { type IndexStatus, readIndexStatus } from '../search/index-status.ts'
import type { SearchIndex } from '../search/search-index.ts'

export interface ServerStatus {
  readonly server: 'redis' | 'postgres'
  /** Host, port and database. */
  readonly at: string
  readonly version?: string
  /** Why there is nothing of it. */
  readonly error?: unknown
}

export interface SubscriptionStatus {
  readonly name: string
  readonly topics: readonly string[]
  readonly queue: string
  /**
   * Longest time that an event can have been waiting for it: in the outbox or in its queue, whose other jobs count, too. Undefined: it
   * cannot be told. What is retried, or waits behind a dead letter of its key, is not in it.
   */
  readonly behindAtMostMs?: number
}

export interface SchedulesStatus {
  readonly count: number
  readonly disabled: number
  /** Undefined: nobody leads, and nothing fires. */
  readonly leader: string | undefined
}

/** What a deployment looks like at one moment. What a server that is away would tell is left out. */
export interface OverviewLook {
  readonly servers: readonly ServerStatus[]
  readonly workers?: readonly WorkerView[]
  readonly queues?: Readonly<Record<string, QueueCounts>>
  readonly losses?: readonly LossReport[]
  readonly schedules?: SchedulesStatus
  readonly outbox?: OutboxStatus
  readonly search?: readonly IndexStatus[]
  /** Why PostgreSQL has no outbox that this release can read. */
  readonly outboxError?: unknown
  readonly subscriptions?: readonly SubscriptionStatus[]
}

type RedisLook = Pick<OverviewLook, 'workers' | 'queues' | 'losses' | 'schedules'> & {
  readonly registered?: readonly RegisteredSubscription[]
}
type PostgresLook = Pick<OverviewLook, 'outbox' | 'outboxError' | 'search'> & {
  readonly registered?: readonly RegisteredSubscription[]
}

/** Looks at everything, as often as it is asked: connections are kept, and opened anew where they broke. */
export class Overview {
  readonly #config: MocaConfig
  #redis: NamespaceConnection | undefined
  readonly #database: Database | undefined
  readonly #indexes: readonly SearchIndex[]
  #hasSchema = false

  constructor(config: MocaConfig) {
    this.#config = config
    const { url, ...postgres } = config.postgres
    const name = `moca:${config.namespace}:status`
    this.#database = url === undefined ? undefined : new Database({ ...postgres, url, name })
    this.#indexes = this.#database ? searchIndexesOf(config, this.#database, silentLogger) : []
  }

  /** Never rejects because of a server: the look says what is the matter with it. */
  async look(): Promise<OverviewLook> {
    const [redis, postgres] = await Promise.all([this.#lookAtRedis(), this.#lookAtPostgres()])
    const { registered: inRedis, ...queues } = redis.look
    const { registered = inRedis, ...outbox } = postgres?.look ?? {}
    const servers = [redis.server, ...(postgres ? [postgres.server] : [])]
    const hasOutbox = postgres !== undefined
    const subscriptions = registered?.map((each) => describe(each, queues.queues, outbox.outbox, hasOutbox))
    return { servers, ...queues, ...outbox, ...(subscriptions && { subscriptions }) }
  }

  async close(): Promise<void> {
    this.#redis?.destroy()
    await this.#database?.close()
  }

  async #lookAtRedis(): Promise<{ server: ServerStatus; look: RedisLook }> {
    const at = describeUrl(this.#config.redis.url)
    try {
      const open = await this.#openRedis()
      const reader = new QueueReader(this.#config.namespace, () => this.#openRedis())
      const inspector = new Inspector(reader)
      const access = lendNamespace(open)
      const [workers, queues, losses, { subscriptions: registered }, schedules] = await Promise.all([
        inspector.workers(),
        inspector.counts(),
        inspector.losses(),
        new RedisSubscriptions(access).list(),
        readSchedules(new ScheduleStore(access)),
      ])
      const { version } = open.connection.server
      return { server: { server: 'redis', at, version }, look: { workers, queues, losses, registered, schedules } }
    } catch (error) {
      return { server: { server: 'redis', at, error }, look: {} }
    }
  }

  async #openRedis(): Promise<NamespaceConnection> {
    if (this.#redis?.connection.isOpen) return this.#redis
    const { redis, namespace } = this.#config
    const connection = await Connection.open(redis, `moca:${namespace}:status`)
    try {
      this.#redis = await openNamespace(connection, namespace, { queues: [], makeGroups: false })
      return this.#redis
    } catch (error) {
      connection.destroy()
      throw error
    }
  }

  async #lookAtPostgres(): Promise<{ server: ServerStatus; look: PostgresLook } | undefined> {
    const database = this.#database
    if (!database) return undefined
    const at = describePostgresUrl(this.#config.postgres.url ?? '')
    try {
      const [row] = await database.query<{ version: string }>(`select current_setting('server_version') as version`)
      const server = { server: 'postgres', at, ...(row && { version: row.version }) } as const
      return { server, look: await this.#lookAtOutbox(database) }
    } catch (error) {
      return { server: { server: 'postgres', at, error }, look: {} }
    }
  }

  async #lookAtOutbox(database: Database): Promise<PostgresLook> {
    const { namespace, postgres } = this.#config
    const { schema } = postgres
    try {
      if (!this.#hasSchema) await requireSchema(database, { schema, namespace })
      this.#hasSchema = true
      const outbox = await new OutboxReader(database, schema).status()
      const { subscriptions: registered } = await new Subscriptions(database, schema).list()
      const search = await Promise.all(this.#indexes.map(readIndexStatus))
      return { outbox, registered, ...(search.length > 0 && { search }) }
    } catch (outboxError) {
      return { outboxError }
    }
  }
}

async function readSchedules(store: ScheduleStore): Promise<SchedulesStatus> {
  const [all, leader] = await Promise.all([store.list(), store.leader()])
  const disabled = all.filter(({ isEnabled }) => !isEnabled).length
  return { count: all.length, disabled, leader: leader?.owner }
}

function describe(
  { name, topics, queue }: RegisteredSubscription,
  queues: OverviewLook['queues'],
  outbox: OutboxStatus | undefined,
  hasOutbox: boolean,
): SubscriptionStatus {
  const subscription = { name, topics, queue }
  if (!queues || (hasOutbox && !outbox)) return subscription
  const ages = [queues[queue]?.oldestWaitingMs ?? 0, ...(outbox?.sinks ?? []).map((sink) => sink.oldestWaitingMs ?? 0)]
  return { ...subscription, behindAtMostMs: Math.max(...ages) }
}
