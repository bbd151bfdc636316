import type { MocaConfig } from '../config/config.ts'
import { RedisSubscriptions } from '../events/backends/redis/redis-subscriptions.ts'
import type { JobHandler } from '../job/job.ts'
import { silentLogger } from '../logger.ts'
import { Capture } from '../outbox/capture.ts'
import { OutboxReader, type OutboxStatus } from '../outbox/outbox-status.ts'
import { Subscriptions } from '../outbox/subscriptions.ts'
import { readClockOffset as readPostgresClock } from '../postgres/clock-offset.ts'
import { describePostgresUrl, PostgresConnection } from '../postgres/connection.ts'
import { Database } from '../postgres/database.ts'
import { Inspector } from '../queue/inspector/inspector.ts'
import { QueueReader } from '../queue/inspector/queue-reader.ts'
import { lendNamespace } from '../queue/lent-namespace.ts'
import { type NamespaceConnection, openNamespace } from '../queue/namespace.ts'
import { LAYOUT } from '../queue/scripts.ts'
import { Connection, describeUrl } from '../redis/connection.ts'
import { readClockOffset, readServerFacts, type ServerFacts } from '../redis/server-facts.ts'
import { ScheduleStore } from '../scheduler/schedule-store.ts'
import { searchIndexesOf, unclaimedIndexesOf } from '../search-indexes.ts'
import { readIndexStatus } from '../search/index-status.ts'
import { checkCaptures } from './captures.ts'
import { checkClock } from './clocks.ts'
import { type Diagnosis, problem } from './diagnosis.ts'
import { checkLanes } from './lanes.ts'
import { checkLosses } from './losses.ts'
import { checkParkedKeys } from './parked-keys.ts'
import { checkPartitions } from './partitions.ts'
import { checkQueues } from './queues.ts'
import { checkMemory } from './redis-memory.ts'
import { checkPersistence } from './redis-persistence.ts'
import { checkResent } from './resent.ts'
import { checkRetention } from './retention.ts'
import { checkSchedules } from './schedules.ts'
import { checkSchema } from './schema.ts'
import { checkSearch } from './search.ts'
import { checkSubscriptions } from './subscriptions.ts'

// Looks at everything that a deployment needs. Each check is a function in a file of its own; here is only what they are given, and
// which of them can be made at all.

export interface DoctorDeps {
  readonly config: MocaConfig
  /** What the apps of the configuration export. Rejects when a module does not load. */
  readonly loadHandlers: () => Promise<readonly JobHandler[]>
  /** What an error means, and what to do about it. */
  readonly explain: (error: unknown) => { readonly error: string; readonly fix: string }
  /** Mend what can be mended safely. */
  readonly mends: boolean
}

export interface CheckResult {
  readonly check: string
  readonly status: 'ok' | 'note' | 'problem' | 'skipped'
  /** What was looked at, or why it was not. */
  readonly about?: string
  readonly diagnoses: readonly Omit<Diagnosis, 'mend'>[]
  /** What was mended: a sentence each. */
  readonly mended: readonly string[]
}

export async function examine(deps: DoctorDeps): Promise<CheckResult[]> {
  const examination = new Examination(deps)
  try {
    await examination.run()
    return examination.results
  } finally {
    await examination.close()
  }
}

class Examination {
  readonly results: CheckResult[] = []
  readonly #deps: DoctorDeps
  #redis: Connection | undefined
  #namespace: NamespaceConnection | undefined
  #database: Database | undefined
  #hasSchema = false

  constructor(deps: DoctorDeps) {
    this.#deps = deps
  }

  async run(): Promise<void> {
    await this.#examineRedis()
    await this.#examinePostgres()
    await this.#examineQueues()
    await this.#examineOutbox()
    await this.#examineApps()
  }

  async close(): Promise<void> {
    this.#namespace?.destroy()
    this.#redis?.destroy()
    await this.#database?.close()
  }

  async #examineRedis(): Promise<void> {
    const { redis, namespace } = this.#deps.config
    const where = `Redis at ${describeUrl(redis.url)}`
    const opened = await this.#try('redis', where, () => Connection.open(redis, `moca:${namespace}:doctor`))
    if (!opened) return this.#skip(['persistence', 'memory', 'layout'], 'Redis cannot be used')
    this.#redis = opened
    this.#tell('redis', [], `Redis ${opened.server.version} at ${describeUrl(redis.url)}`)
    const facts = await this.#try('persistence', undefined, () => readServerFacts(opened))
    if (facts) await this.#examineFacts(facts)
    await this.#check('clock of Redis', async () => checkClock('Redis', await readClockOffset(opened)))
    this.#namespace = await this.#try('layout', `namespace ${namespace}`, () =>
      openNamespace(opened, namespace, { queues: [], makeGroups: false }),
    )
    if (this.#namespace) this.#tell('layout', [], `namespace ${namespace}, layout ${LAYOUT}`)
  }

  async #examineFacts(facts: ServerFacts): Promise<void> {
    await this.#check('persistence', () => checkPersistence(facts))
    await this.#check('memory', () => checkMemory(facts))
  }

  async #examinePostgres(): Promise<void> {
    const { postgres, namespace, outbox } = this.#deps.config
    const { url, schema } = postgres
    if (url === undefined) return this.#skip(['postgres'], 'none is configured')
    const options = { ...postgres, url }
    const where = describePostgresUrl(url)
    const name = `moca:${namespace}:doctor`
    const opened = await this.#try('postgres', `PostgreSQL at ${where}`, () => PostgresConnection.open(options, name))
    if (!opened) return this.#skip(['schema', 'partitions', 'retention'], 'PostgreSQL cannot be used')
    this.#tell('postgres', [], `PostgreSQL ${opened.serverVersion} at ${where}`)
    opened.destroy()
    const database = new Database({ ...options, name })
    this.#database = database
    await this.#check('clock of PostgreSQL', async () => checkClock('PostgreSQL', await readPostgresClock(database)))
    const wanted = { schema, namespace, maxBytes: outbox.maxBytes }
    const status = await this.#check('schema', () => checkSchema(database, wanted), `schema ${schema}`)
    this.#hasSchema = status === 'ok'
    if (!this.#hasSchema) return this.#skip(['partitions', 'retention'], 'the schema cannot be used')
    await this.#check('partitions', () => checkPartitions(database, schema))
    await this.#check('retention', () => checkRetention(database, schema, outbox.retention))
  }

  async #examineQueues(): Promise<void> {
    const namespace = this.#namespace
    if (!namespace) return this.#skip(['queues', 'losses', 'schedules'], 'the namespace cannot be opened')
    const reader = new QueueReader(this.#deps.config.namespace, async () => namespace)
    const inspector = new Inspector(reader)
    await this.#check('queues', async () => checkQueues(await inspector.counts(), await inspector.workers()))
    await this.#check('losses', async () => checkLosses(await inspector.losses(), await reader.serverMs()))
    const store = new ScheduleStore(lendNamespace(namespace))
    const { schedules } = this.#deps.config
    await this.#check('schedules', async () =>
      checkSchedules({ configured: schedules, stored: await store.list(), leader: await store.leader() }),
    )
  }

  async #examineOutbox(): Promise<void> {
    const names = ['lanes', 'parked keys', 'sent again']
    const database = this.#database
    if (!database || !this.#hasSchema) return this.#skip(names, 'there is no log')
    const reader = new OutboxReader(database, this.#deps.config.postgres.schema)
    const status = await this.#try('lanes', undefined, () => reader.status())
    if (!status) return this.#skip(names.slice(1), 'the log cannot be read')
    await this.#examineStatus(status)
  }

  async #examineStatus(status: OutboxStatus): Promise<void> {
    await this.#check('lanes', () => checkLanes(status))
    await this.#check('parked keys', () => checkParkedKeys(status))
    await this.#check('sent again', () => checkResent(status))
  }

  async #examineApps(): Promise<void> {
    const { apps, postgres } = this.#deps.config
    const database = this.#hasSchema ? this.#database : undefined
    const registry = database
      ? new Subscriptions(database, postgres.schema)
      : this.#namespace && new RedisSubscriptions(lendNamespace(this.#namespace))
    const loaded = await this.#try('handlers', undefined, async () =>
      apps.length === 0 ? [] : this.#deps.loadHandlers(),
    )
    if (loaded) this.#tell('handlers', [], `${loaded.length} in ${apps.length} ${apps.length === 1 ? 'app' : 'apps'}`)
    if (!registry) this.#skip(['subscriptions'], 'nothing can be read')
    else if (!loaded) this.#skip(['subscriptions'], 'the handlers do not load')
    else await this.#check('subscriptions', async () => checkSubscriptions(await registry.list(), apps, loaded))
    if (!database) return this.#skip(['captures', 'search'], 'there is no log')
    const doctypes = apps.flatMap((app) => app.doctypes)
    await this.#check('captures', () => checkCaptures(new Capture(database, postgres.schema), doctypes))
    const indexes = searchIndexesOf(this.#deps.config, database, silentLogger)
    await this.#check('search', async () => {
      const unclaimed = await unclaimedIndexesOf(this.#deps.config, database).list()
      return checkSearch(await Promise.all(indexes.map(readIndexStatus)), unclaimed, Date.now())
    })
  }

  /** Makes a check, mends what can be mended where that is wished, and then looks again. */
  async #check(
    check: string,
    find: () => Promise<readonly Diagnosis[]> | readonly Diagnosis[],
    about?: string,
  ): Promise<CheckResult['status']> {
    const mended: string[] = []
    try {
      let diagnoses = await find()
      const mends = this.#deps.mends ? diagnoses.flatMap(({ mend }) => mend ?? []) : []
      for (const mend of mends) mended.push(await mend())
      if (mends.length > 0) diagnoses = await find()
      return this.#tell(check, diagnoses, about, mended)
    } catch (error) {
      return this.#tell(check, [this.#asProblem(error)], about, mended)
    }
  }

  /** What must work before there is anything to check. Undefined: it does not, and that is told. */
  async #try<T>(check: string, about: string | undefined, action: () => Promise<T>): Promise<T | undefined> {
    try {
      return await action()
    } catch (error) {
      this.#tell(check, [this.#asProblem(error)], about)
      return undefined
    }
  }

  #asProblem(failure: unknown): Diagnosis {
    const { error, fix } = this.#deps.explain(failure)
    return problem(error, fix)
  }

  #tell(
    check: string,
    found: readonly Diagnosis[],
    about?: string,
    mended: readonly string[] = [],
  ): CheckResult['status'] {
    const status = found.some(({ severity }) => severity === 'problem') ? 'problem' : found.length > 0 ? 'note' : 'ok'
    const diagnoses = found.map(({ severity, found: what, fix }) => ({ severity, found: what, fix }))
    this.results.push({ check, status, ...(about !== undefined && { about }), diagnoses, mended })
    return status
  }

  #skip(checks: readonly string[], about: string): void {
    for (const check of checks) this.results.push({ check, status: 'skipped', about, diagnoses: [], mended: [] })
  }
}
