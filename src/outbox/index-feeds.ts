import type { Clock } from '../clock.ts'
import { systemClock } from '../clock.ts'
import type { PostgresConnection, Queryable } from '../postgres/connection.ts'
import type { Database } from '../postgres/database.ts'
import { DocumentChanges } from './document-changes.ts'
import { type FollowedBatch, IndexFollower } from './index-follower.ts'
import { IndexPosition, type IndexStanding } from './index-position.ts'
import { RelayStore } from './relay-store.ts'
import { loadStatements } from './statements.ts'

export interface IndexFeedsDeps {
  /** Also opens a connection of its own for each index that is followed. */
  readonly database: Pick<Database, 'query' | 'openConnection'>
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
    const connection = await this.#deps.database.openConnection()
    try {
      const log = this.#log(connection)
      await this.#position(connection, position).begin(await log.look(await log.anchor()))
    } finally {
      connection.destroy()
    }
  }

  /** Undefined: somebody alive owns it, or it has not begun. */
  async take(position: string, doctypes: readonly string[]): Promise<IndexFeed | undefined> {
    const { database, schema, clock = systemClock } = this.#deps
    // Whoever waits for an index asks again and again: not on a new connection each time.
    const { 'is-index-held': text } = loadStatements(['is-index-held'], schema)
    const [lease] = await database.query<{ is_held: boolean }>(text, [position], { name: 'moca-is-index-held' })
    if (!lease || lease.is_held) return undefined
    const connection = await database.openConnection()
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
  async list(): Promise<readonly string[]> {
    const { 'list-indexes': text } = loadStatements(['list-indexes'], this.#deps.schema)
    const rows = await this.#deps.database.query<{ index_name: string }>(text)
    return rows.map(({ index_name }) => index_name)
  }

  /** It is no more. Its owner, if there is one, loses it. */
  async forget(position: string): Promise<void> {
    await this.#position(this.#deps.database, position).forget()
  }

  /** How far it is behind the log. Undefined: it has not begun. */
  standing(position: string, doctypes: readonly string[]): Promise<IndexStanding | undefined> {
    return this.#position(this.#deps.database, position).standing(doctypes)
  }

  #log(connection: PostgresConnection): RelayStore {
    const { schema, owner } = this.#deps
    return new RelayStore(connection, { schema, sink: 'search', relay: owner })
  }

  #position(connection: Queryable, index: string): IndexPosition {
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
