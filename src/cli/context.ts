import { type MocaConfig, requirePostgres, resolveConfig } from '../config/config.ts'
import { overrideEnvironment } from '../config/environment.ts'
import { type LoadedConfig, loadConfig } from '../config/load-config.ts'
import type { ConfigInput } from '../config/options.ts'
import { ConnectionError, MocaError } from '../errors.ts'
import { systemClock } from '../clock.ts'
import { createMoca, type Moca } from '../moca.ts'
import { describePostgresUrl, PostgresConnection } from '../postgres/connection.ts'
import { Database } from '../postgres/database.ts'
import { Inspector } from '../queue/inspector/inspector.ts'
import { type NamespaceConnection, openNamespace } from '../queue/namespace.ts'
import { QueueReader } from '../queue/inspector/queue-reader.ts'
import { Connection, describeUrl } from '../redis/connection.ts'
import { UsageError } from './cli-error.ts'
import { parseTime } from './flag-values.ts'
import { Output } from './output.ts'

/** The global flags, as commander gives them. */
export interface Flags {
  readonly config?: string
  readonly namespace?: string
  readonly json?: boolean
  readonly color?: boolean
  readonly quiet?: boolean
  readonly verbose?: boolean
  readonly timeout?: string
}

export interface QueueAccess {
  readonly reader: QueueReader
  readonly inspector: Inspector
}

const RETRY_MS = 200

/** What every command works with. Nothing is read or opened before it is needed. */
export class Context {
  readonly flags: Flags
  readonly output: Output
  #loaded: LoadedConfig | undefined
  #config: MocaConfig | undefined

  constructor(flags: Flags) {
    const { json = false, color = true, quiet = false, verbose = false } = flags
    this.flags = flags
    const hasColor = color && !json && process.stdout.isTTY && process.stdout.hasColors()
    this.output = new Output({ isJson: json, isQuiet: quiet, isVerbose: verbose, hasColor })
  }

  /** The configuration as its file says. The flags that override it are set for the whole process. */
  async loadConfig(): Promise<LoadedConfig> {
    const { config, namespace } = this.flags
    // An empty variable counts as not set. A flag does not: `purge --namespace "$NAMESPACE"` must not hit another one.
    if (namespace === '') {
      throw new UsageError(
        '--namespace is empty.',
        'Give a name, or leave it out for the namespace of the configuration.',
      )
    }
    if (namespace !== undefined) overrideEnvironment('MOCA_NAMESPACE', namespace)
    this.#loaded ??= await loadConfig({ path: config })
    return this.#loaded
  }

  async config(): Promise<MocaConfig> {
    const { input } = await this.loadConfig()
    this.#config ??= resolveConfig(
      input,
      undefined,
      this.flags.namespace === undefined ? {} : { MOCA_NAMESPACE: '--namespace' },
    )
    return this.#config
  }

  /** What the command is working with, for an error. */
  describe(): string | undefined {
    if (!this.#config) return this.#loaded?.file
    const { namespace, redis, postgres } = this.#config
    const servers = [`Redis at ${describeUrl(redis.url)}`]
    if (postgres.url !== undefined) servers.push(`PostgreSQL at ${describePostgresUrl(postgres.url)}`)
    return [`namespace ${namespace}`, ...servers, this.#loaded?.file ?? 'no configuration file'].join(', ')
  }

  /** Connects, gives access to the queues of the namespace, and closes the connection afterwards. */
  async withQueues<T>(use: (access: QueueAccess) => Promise<T>): Promise<T> {
    let open = await this.#open()
    const reader = new QueueReader((await this.config()).namespace, async () => {
      if (!open.connection.isOpen) open = await this.#open()
      return open
    })
    try {
      return await use({ reader, inspector: new Inspector(reader) })
    } finally {
      open.destroy()
    }
  }

  /** Connects as an application does, and closes the connections afterwards. `instead`: in place of what the configuration says. */
  async withMoca<T>(use: (moca: Moca) => Promise<T>, instead: ConfigInput = {}): Promise<T> {
    const { input } = await this.loadConfig()
    const probe = await this.#open() // an application would go on trying
    probe.destroy()
    const moca = createMoca({ ...input, ...instead })
    try {
      return await use(await moca.connect())
    } finally {
      await moca.close()
    }
  }

  /** Connects to PostgreSQL, gives access to it, and closes the connections afterwards. `what` needs it, where none is configured. */
  async withDatabase<T>(what: string, use: (database: Database) => Promise<T>): Promise<T> {
    const config = await this.config()
    const postgres = requirePostgres(config, what)
    const name = `moca:${config.namespace}:cli`
    await this.#tryOpening(postgres.connectTimeoutMs, async (connectTimeoutMs) => {
      const connection = await PostgresConnection.open({ ...postgres, connectTimeoutMs }, name)
      connection.destroy()
    })
    const database = new Database({ ...postgres, name })
    try {
      return await use(database)
    } finally {
      await database.close()
    }
  }

  async #open(): Promise<NamespaceConnection> {
    const { redis, namespace } = await this.config()
    return this.#tryOpening(redis.connectTimeoutMs, (connectTimeoutMs) =>
      openOnce({ ...redis, connectTimeoutMs }, namespace),
    )
  }

  /** With --timeout it tries until then; without, once. */
  async #tryOpening<T>(longestMs: number, open: (connectTimeoutMs: number) => Promise<T>): Promise<T> {
    const limitMs = parseTime('--timeout', this.flags.timeout)
    const deadline = systemClock.monotonicMs() + (limitMs ?? 0)
    for (;;) {
      const leftMs = Math.max(1, limitMs === undefined ? longestMs : Math.round(deadline - systemClock.monotonicMs()))
      try {
        return await open(Math.min(leftMs, longestMs))
      } catch (error) {
        const mayTryAgain =
          error instanceof MocaError && error.retryable && systemClock.monotonicMs() + RETRY_MS < deadline
        if (!mayTryAgain) throw error
        await systemClock.wait(RETRY_MS)
      }
    }
  }
}

async function openOnce(redis: MocaConfig['redis'], namespace: string): Promise<NamespaceConnection> {
  const connection = await Connection.open(redis, `moca:${namespace}:cli`)
  try {
    return await openNamespace(connection, namespace, { queues: [], makeGroups: false })
  } catch (error) {
    connection.destroy()
    // A server that has just started answers, and loads its data.
    if (error instanceof Error && /^(LOADING|MASTERDOWN|READONLY)/.test(error.message))
      throw new ConnectionError(error.message, error)
    throw error
  }
}
