import { type Clock, systemClock } from '../clock.ts'
import { ClosedError } from '../errors.ts'
import {
  describePostgresUrl,
  PostgresConnection,
  type PostgresOptions,
  type Queryable,
  type QueryOptions,
  type Transaction,
} from './connection.ts'
import { lostConnection } from './failure.ts'

export interface DatabaseOptions extends PostgresOptions {
  /** What the server lists its connections by, e.g. `moca:shop:relay`. */
  readonly name: string
  /** Most connections at once, beside those of `openConnection`. Default 5. */
  readonly maxConnections?: number
}

interface Waiter {
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

// What is under way when it is closed may take so long to settle.
const CLOSE_MS = 5_000

/**
 * A database in PostgreSQL, over a few connections that are opened when they are needed, and kept. Broken ones are replaced by the next
 * call. It connects on first use.
 */
export class Database implements Queryable {
  readonly #options: DatabaseOptions
  readonly #clock: Clock
  readonly #idle: PostgresConnection[] = []
  readonly #inUse = new Set<PostgresConnection>()
  /** Calls that use a connection, or open one. */
  #calls = 0
  readonly #waiters = new Set<Waiter>()
  #isClosed = false
  #onQuiet: (() => void) | undefined

  constructor(options: DatabaseOptions, clock: Clock = systemClock) {
    this.#options = options
    this.#clock = clock
  }

  /** Runs one statement on any connection. Rejects with ConnectionError also when none became free within the connect timeout. */
  query<Row>(text: string, values: readonly unknown[] = [], options: QueryOptions = {}): Promise<Row[]> {
    return this.#use((connection) => connection.query<Row>(text, values, options))
  }

  /**
   * Runs `fn` in a transaction (read committed) and commits, or rolls back when it rejects.
   * @example await database.transaction(async (tx) => { await tx.query('update ...'); await tx.query('insert ...') })
   */
  transaction<T>(fn: (transaction: Transaction) => Promise<T>): Promise<T> {
    return this.#use((connection) => connection.transaction(fn))
  }

  /** Opens a connection of the caller's own, who closes it. It counts for no limit. */
  async openConnection(name = this.#options.name): Promise<PostgresConnection> {
    if (this.#isClosed) throw new ClosedError('The database')
    return PostgresConnection.open(this.#options, name)
  }

  /** Refuses new calls, lets those under way settle, and closes the connections. Twice is harmless. */
  async close(): Promise<void> {
    this.#isClosed = true
    for (const waiter of this.#waiters) waiter.reject(new ClosedError('The database'))
    for (const connection of this.#idle.splice(0)) connection.destroy()
    if (this.#calls === 0) return
    const passed = new AbortController()
    const quiet = new Promise<void>((resolve) => {
      this.#onQuiet = resolve
    })
    await Promise.race([quiet, this.#clock.wait(CLOSE_MS, passed.signal)])
    passed.abort()
    for (const connection of this.#inUse) connection.destroy(new ClosedError('The database'))
  }

  async #use<T>(fn: (connection: PostgresConnection) => Promise<T>): Promise<T> {
    await this.#takeTurn()
    try {
      const connection = this.#takeIdle() ?? (await this.#open())
      this.#inUse.add(connection)
      try {
        return await fn(connection)
      } finally {
        this.#inUse.delete(connection)
        this.#putBack(connection)
      }
    } finally {
      this.#endTurn()
    }
  }

  /** As many calls as there may be connections; the others wait, first come, first served. */
  async #takeTurn(): Promise<void> {
    if (this.#isClosed) throw new ClosedError('The database')
    const { maxConnections = 5 } = this.#options
    if (this.#calls < maxConnections) this.#calls++
    else await this.#waitForTurn(maxConnections)
  }

  async #waitForTurn(maxConnections: number): Promise<void> {
    const { connectTimeoutMs = 5_000, url } = this.#options
    const waiter = Promise.withResolvers<void>()
    const where = describePostgresUrl(url)
    const timer = setTimeout(() => {
      const reason = `All ${maxConnections} connections to PostgreSQL at ${where} were in use for ${connectTimeoutMs} ms`
      waiter.reject(lostConnection(reason))
    }, connectTimeoutMs)
    this.#waiters.add(waiter)
    try {
      await waiter.promise
    } finally {
      clearTimeout(timer)
      this.#waiters.delete(waiter)
    }
  }

  #endTurn(): void {
    const [next] = this.#waiters
    if (next) {
      // The turn goes over to it.
      this.#waiters.delete(next)
      next.resolve()
      return
    }
    this.#calls--
    if (this.#calls === 0) this.#onQuiet?.()
  }

  #takeIdle(): PostgresConnection | undefined {
    // The one that was used last: it is the least likely to be broken.
    const open = this.#idle.findLastIndex(({ isOpen }) => isOpen)
    return open < 0 ? undefined : this.#idle.splice(open, 1)[0]
  }

  #putBack(connection: PostgresConnection): void {
    if (this.#isClosed) connection.destroy()
    else if (connection.isOpen) this.#idle.push(connection)
  }

  async #open(): Promise<PostgresConnection> {
    const connection = await PostgresConnection.open(this.#options, this.#options.name)
    void connection.closed.then(() => {
      const index = this.#idle.indexOf(connection)
      if (index >= 0) this.#idle.splice(index, 1)
    })
    return connection
  }
}
