import { after, before, type TestContext } from 'node:test'
import type { Clock } from '../../src/clock.ts'
import { type Logger, silentLogger } from '../../src/logger.ts'
import { migrate } from '../../src/outbox/migrations.ts'
import { Relay, type RelayDeps } from '../../src/outbox/relay.ts'
import { PostgresConnection } from '../../src/postgres/connection.ts'
import type { LogRow } from '../../src/outbox/log-row.ts'
import type { LedgerSink } from './ledger-sink.ts'
import { type PostgresServer, startPostgres, type TestDatabase } from './postgres-server.ts'

/** One server for a test file, and an empty log in a database of its own for each test. */
export function outboxScenes(options: Parameters<typeof startPostgres>[0] = {}) {
  let server: PostgresServer
  before(async () => {
    server = await startPostgres(options)
  })
  after(() => server.stop())
  return async (t: TestContext) => OutboxScene.open(t, server)
}

export class OutboxScene {
  readonly server: PostgresServer
  readonly database: TestDatabase
  readonly #test: TestContext

  static async open(t: TestContext, server: PostgresServer): Promise<OutboxScene> {
    const scene = new OutboxScene(t, server, await server.createDatabase(t))
    const connection = await scene.connect()
    await migrate(connection, { schema: 'moca', namespace: 'test', maxBytes: 1_048_576 })
    connection.destroy()
    return scene
  }

  /** The log that a database has already: a copy of another one. */
  static of(t: TestContext, database: TestDatabase): OutboxScene {
    return new OutboxScene(t, database.server, database)
  }

  private constructor(t: TestContext, server: PostgresServer, database: TestDatabase) {
    this.#test = t
    this.server = server
    this.database = database
  }

  /** A connection that ends with the test. */
  async connect(): Promise<PostgresConnection> {
    const connection = await PostgresConnection.open({ url: this.database.url }, 'moca:test')
    this.#test.after(() => connection.destroy())
    return connection
  }

  /** Records events, by default with ascending numbers as data, in one transaction; returns their ids. */
  async record(
    events: readonly { key?: string; topic?: string; event_type?: string; data?: unknown }[],
  ): Promise<string[]> {
    const items = events.map((event) => ({ topic: 'test.things', event_type: 'happened', ...event }))
    const [row] = await this.database.query<{ ids: string }>('select moca.record($1) as ids', [JSON.stringify(items)])
    return JSON.parse(row?.ids ?? '[]') as string[]
  }

  /** A relay that has not been started, and stops with the test. */
  relay(
    sink: LedgerSink,
    options: Partial<RelayDeps<readonly LogRow[]>['settings']> & { log?: Logger; clock?: Clock } = {},
  ): Relay<readonly LogRow[]> {
    const { log = silentLogger, clock, ...settings } = options
    const relay = new Relay({
      connect: () => PostgresConnection.open({ url: this.database.url }, 'moca:relay'),
      open: () => ({ sink, subscriptions: { version: async () => 0, reload: async () => {}, forget: () => {} } }),
      sinkName: sink.name,
      schema: 'moca',
      namespace: 'test',
      settings: { leaseMs: 2_000, pollIntervalMs: 5, redriveMaxMs: 600_000, ...settings },
      log,
      ...(clock && { clock }),
    })
    this.#test.after(() => relay.stop())
    return relay
  }
}
