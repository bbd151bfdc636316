import type { Clock } from '../clock.ts'
import { systemClock } from '../clock.ts'
import type { PostgresConnection } from '../postgres/connection.ts'
import { DocumentChanges } from './document-changes.ts'
import { type FollowedBatch, IndexFollower } from './index-follower.ts'
import { IndexPosition, type IndexStanding } from './index-position.ts'
import { RelayStore } from './relay-store.ts'
import { loadStatements } from './statements.ts'

export interface IndexFeedsDeps {
  /** Opens a connection of its owner's own. */
  readonly connect: () => Promise<PostgresConnection>
  readonly schema: string
  /** Unique to the process. */
  readonly owner: string
  readonly leaseMs: number
  readonly clock?: Clock
}

/** Where indexes stand in the log, and who follows it for them: each follower on a connection of its own, with which its lease ends. */
export class IndexFeeds {
  readonly leaseMs: number
  readonly #deps: IndexFeedsDeps

  constructor(deps: IndexFeedsDeps) {
    this.#deps = deps
    this.leaseMs = deps.leaseMs
  }

  /** The position begins with what is committed from now on, unless it has begun before. */
  async begin(position: string): Promise<void> {
    await this.#withConnection(async (connection) => {
      const log = this.#log(connection)
      await this.#position(connection, position).begin(await log.look(await log.anchor()))
    })
  }

  /** Undefined: somebody alive owns it, or it has not begun. */
  async take(position: string, doctypes: readonly string[]): Promise<IndexFeed | undefined> {
    const { schema, clock = systemClock } = this.#deps
    const connection = await this.#deps.connect()
    try {
      const follower = await IndexFollower.take({
        log: this.#log(connection),
        changes: new DocumentChanges(connection, schema),
        position: this.#position(connection, position),
        doctypes,
        clock,
      })
      if (!follower) connection.destroy()
      return follower && new IndexFeed(follower, connection)
    } catch (error) {
      connection.destroy()
      throw error
    }
  }

  /** All that have begun. */
  list(): Promise<readonly string[]> {
    const { 'list-indexes': text } = loadStatements(['list-indexes'], this.#deps.schema)
    return this.#withConnection(async (connection) => {
      const rows = await connection.query<{ index_name: string }>(text)
      return rows.map(({ index_name }) => index_name)
    })
  }

  /** It is no more. Its owner, if there is one, loses it. */
  async forget(position: string): Promise<void> {
    await this.#withConnection((connection) => this.#position(connection, position).forget())
  }

  /** How far it is behind the log. Undefined: it has not begun. */
  standing(position: string, doctypes: readonly string[]): Promise<IndexStanding | undefined> {
    return this.#withConnection((connection) => this.#position(connection, position).standing(doctypes))
  }

  async #withConnection<T>(use: (connection: PostgresConnection) => Promise<T>): Promise<T> {
    const connection = await this.#deps.connect()
    try {
      return await use(connection)
    } finally {
      connection.destroy()
    }
  }

  #log(connection: PostgresConnection): RelayStore {
    const { schema, owner } = this.#deps
    return new RelayStore(connection, { schema, sink: 'search', relay: owner })
  }

  #position(connection: PostgresConnection, index: string): IndexPosition {
    const { schema, owner, leaseMs } = this.#deps
    return new IndexPosition(connection, { schema, index, owner, leaseMs })
  }
}

/** What changed of the documents of one index, for its only writer. */
class IndexFeed {
  readonly epoch: number
  readonly #follower: IndexFollower
  readonly #connection: PostgresConnection

  constructor(follower: IndexFollower, connection: PostgresConnection) {
    this.epoch = follower.epoch
    this.#follower = follower
    this.#connection = connection
  }

  next(): Promise<FollowedBatch | undefined> {
    return this.#follower.next()
  }

  intend(batch: FollowedBatch): Promise<boolean> {
    return this.#follower.intend(batch)
  }

  settle(batch: FollowedBatch): Promise<boolean> {
    return this.#follower.settle(batch)
  }

  renew(): Promise<boolean> {
    return this.#follower.renew()
  }

  async leave(): Promise<void> {
    await this.#follower.leave().catch(() => {}) // its connection ends, and the lease with it
    this.#connection.destroy()
  }
}
