import { readdirSync, readFileSync } from 'node:fs'
import { after, before, type TestContext } from 'node:test'
import { type Logger, silentLogger } from '../../src/logger.ts'
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
    const folder = new URL('../../src/outbox/migrations/', import.meta.url)
    await scene.database.query('create schema moca')
    for (const file of readdirSync(folder).toSorted()) {
      if (file.endsWith('.sql'))
        await scene.database.query(readFileSync(new URL(file, folder), 'utf8').replaceAll(':"schema"', 'moca'))
    }
    await scene.database.query(`insert into moca.deployment (namespace, max_bytes) values ('test', 1048576)`)
    for (let count = 0; count < 3; count++) await scene.database.query('select moca.add_partition()')
    return scene
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
    options: Partial<RelayDeps<readonly LogRow[]>['settings']> & { log?: Logger } = {},
  ): Relay<readonly LogRow[]> {
    const { log = silentLogger, ...settings } = options
    const relay = new Relay({
      connect: () => PostgresConnection.open({ url: this.database.url }, 'moca:relay'),
      open: () => ({ sink, subscriptions: { version: async () => 0, reload: async () => {} } }),
      sinkName: sink.name,
      schema: 'moca',
      namespace: 'test',
      settings: { leaseMs: 2_000, pollIntervalMs: 5, redriveMaxMs: 600_000, ...settings },
      log,
    })
    this.#test.after(() => relay.stop())
    return relay
  }
}
