import { Socket } from 'node:net'
import type pg from 'pg'
import { ConfigError, ConnectionError, UnsuitableServerError } from '../errors.ts'
import { loadDriver, typesOf } from './driver.ts'
import { asConnectFailure, asFailure, lostConnection } from './failure.ts'

/** How to reach a PostgreSQL server. */
export interface PostgresOptions {
  /** `postgres[ql]://[user[:password]@]host[:port]/database[?sslmode=...]`. */
  readonly url: string
  /** Longest time for a connection to come up, handshake included, in ms. Default 5,000. */
  readonly connectTimeoutMs?: number
  /** A statement unanswered for so long (ms) means that the connection hangs: it is closed. Default 10,000. */
  readonly replyTimeoutMs?: number
}

export interface QueryOptions {
  /**
   * Prepares the statement under this name, once per connection: its text must be the same every time. Not behind a pooler, where what is
   * prepared in one session of the server is asked for in another (docs/decisions/0044-behind-a-pooler.md).
   */
  readonly name?: string
  /** For a statement that may take longer than others, ms. Default: the connection's. */
  readonly replyTimeoutMs?: number
}

/** Anything that statements can be sent to: a connection, a transaction, or a database, which takes any connection for each. */
export interface Queryable {
  /** Runs one statement and returns its rows. Rejects with ConnectionError, AccessError, or SqlError with its `sqlState`. */
  query<Row>(text: string, values?: readonly unknown[], options?: QueryOptions): Promise<Row[]>
}

/** The oldest release that Moca is tested with. */
const OLDEST_VERSION = 14
const CHECK_MS = 500
// A connection that nobody uses for long is dropped by many a firewall without a word.
const KEEP_ALIVE_AFTER_MS = 10_000

const IDENTIFY = `
select
  current_setting('server_version') as version, current_setting('server_version_num')::int / 10000 as major,
  pg_is_in_recovery() as is_standby, pg_backend_pid() as pid`

/**
 * One connection to PostgreSQL that never reconnects by itself: once broken it stays broken, and its owner opens another.
 * Statements are sent one after another. One without an answer within `replyTimeoutMs` breaks the connection.
 */
export class PostgresConnection implements Queryable {
  /** Resolves with the reason when the connection is broken or closed; never rejects. */
  readonly closed: Promise<Error>
  readonly serverVersion: string
  /** Whether a pooler stands between: one transaction and the next may run in different sessions of the server. */
  readonly isPooled: boolean
  readonly #client: pg.Client
  readonly #socket: Socket
  readonly #where: string
  readonly #replyTimeoutMs: number
  readonly #break: (reason: Error) => void
  /** Why it is not open any more: what is unanswered then, and whatever is asked later, is refused with it. */
  #brokenBy: Error | undefined
  /** The last statement that was asked for. */
  #last: Promise<unknown> = Promise.resolve()
  #waiting: { sinceMs: number; readonly allowedMs: number } | undefined
  #checkedAt = performance.now()
  readonly #watch: NodeJS.Timeout

  private constructor(opened: Opened, { replyTimeoutMs = 10_000 }: PostgresOptions) {
    const { client, socket, where, version, isPooled } = opened
    this.#client = client
    this.#socket = socket
    this.#where = where
    this.#replyTimeoutMs = replyTimeoutMs
    this.serverVersion = version
    this.isPooled = isPooled
    let broken: (reason: Error) => void = () => {}
    this.closed = new Promise((resolve) => {
      broken = resolve
    })
    this.#break = broken
    client.on('error', (cause: Error) => this.#fail(asBreak(cause, where)))
    client.on('end', () => this.#fail(lostConnection(`The connection to PostgreSQL at ${where} was closed`)))
    this.#watch = setInterval(() => this.#check(), CHECK_MS)
    this.#watch.unref()
  }

  /**
   * Opens a connection; `name` is what the server lists it by. Rejects with ConnectionError (also for a standby), AccessError,
   * UnsuitableServerError for a server that is too old, ConfigError where the package `pg` is missing.
   */
  static async open(options: PostgresOptions, name: string): Promise<PostgresConnection> {
    return new PostgresConnection(await connect(options, name), options)
  }

  get isOpen(): boolean {
    return this.#brokenBy === undefined
  }

  async query<Row>(text: string, values: readonly unknown[] = [], options: QueryOptions = {}): Promise<Row[]> {
    const { replyTimeoutMs } = options
    const name = this.isPooled ? undefined : options.name
    const result = await this.#ask({ text, values, name }, replyTimeoutMs)
    return result.rows as Row[]
  }

  /** Runs any number of statements without values. Outside of a transaction they are one. */
  async run(script: string, { replyTimeoutMs }: Pick<QueryOptions, 'replyTimeoutMs'> = {}): Promise<void> {
    await this.#ask({ text: script, values: [], name: undefined }, replyTimeoutMs)
  }

  /**
   * Runs `fn` in a transaction and commits, or rolls back when it rejects; isolation level read committed. When the connection breaks
   * during the commit, whether it took effect is not known: the ConnectionError says so.
   */
  async transaction<T>(fn: (transaction: Transaction) => Promise<T>): Promise<T> {
    await this.run('begin isolation level read committed')
    const transaction = new Transaction(this)
    let result: T
    try {
      result = await fn(transaction)
    } catch (error) {
      transaction.end()
      // Nobody may go on with a connection in an unknown state.
      await this.run('rollback').catch((cause: Error) => this.destroy(cause))
      throw error
    }
    transaction.end()
    await this.#commit()
    return result
  }

  /** Closes at once; what is unanswered is rejected. Twice is harmless. */
  destroy(reason: Error = lostConnection('The connection to PostgreSQL was closed')): void {
    this.#fail(reason)
  }

  async #commit(): Promise<void> {
    let outcome: pg.QueryResult
    try {
      outcome = await this.#ask({ text: 'commit', values: [], name: undefined }, undefined)
    } catch (error) {
      if (!(error instanceof ConnectionError)) throw error
      const { sqlState } = error.facts as { sqlState?: string }
      throw lostConnection(`${error.message}. Whether the transaction was committed is not known.`, error, sqlState)
    }
    // PostgreSQL answers so, without an error, when a statement of the transaction had failed.
    if (outcome.command === 'ROLLBACK') {
      throw new Error('The transaction was rolled back: a statement of it had failed, and the failure was ignored')
    }
  }

  #ask(statement: Statement, replyTimeoutMs: number | undefined): Promise<pg.QueryResult> {
    const answer = this.#last.then(() => this.#send(statement, replyTimeoutMs ?? this.#replyTimeoutMs))
    this.#last = answer.catch(() => {}) // told to whoever asked
    return answer
  }

  async #send({ text, values, name }: Statement, allowedMs: number): Promise<pg.QueryResult> {
    if (this.#brokenBy) throw this.#brokenBy
    this.#waiting = { sinceMs: performance.now(), allowedMs }
    try {
      return await this.#client.query({ text, values: [...values], ...(name !== undefined && { name }) })
    } catch (cause) {
      throw this.#asRefusal(cause)
    } finally {
      this.#waiting = undefined
    }
  }

  #asRefusal(cause: unknown): Error {
    // The client says of its own end no more than that.
    if (this.#brokenBy) return this.#brokenBy
    const failure = asFailure(cause, this.#where)
    if (failure instanceof ConnectionError) this.#fail(failure)
    return failure
  }

  #check(): void {
    const at = performance.now()
    // This process itself was stopped or blocked: the answer may lie in the socket, unread. Count from now.
    const wasAsleep = at - this.#checkedAt > CHECK_MS * 3
    this.#checkedAt = at
    if (!this.#waiting) return
    if (wasAsleep) this.#waiting.sinceMs = at
    const { sinceMs, allowedMs } = this.#waiting
    if (at - sinceMs <= allowedMs) return
    this.#fail(
      lostConnection(`PostgreSQL at ${this.#where} did not answer within ${allowedMs} ms: the connection hangs`),
    )
  }

  #fail(reason: Error): void {
    if (this.#brokenBy) return
    this.#brokenBy = reason
    clearInterval(this.#watch)
    this.#socket.destroy()
    this.#break(reason)
  }
}

/** Statements of one transaction. Of no use after its end. */
export class Transaction implements Queryable {
  readonly #connection: PostgresConnection
  #hasEnded = false

  constructor(connection: PostgresConnection) {
    this.#connection = connection
  }

  async query<Row>(text: string, values: readonly unknown[] = [], options: QueryOptions = {}): Promise<Row[]> {
    this.#requireOpen()
    return this.#connection.query<Row>(text, values, options)
  }

  /** Runs any number of statements without values. */
  async run(script: string, options: Pick<QueryOptions, 'replyTimeoutMs'> = {}): Promise<void> {
    this.#requireOpen()
    return this.#connection.run(script, options)
  }

  /** Refuses what comes later: it would fall into somebody else's transaction. */
  end(): void {
    this.#hasEnded = true
  }

  #requireOpen(): void {
    if (this.#hasEnded) throw new Error('The transaction has ended; await its statements before that')
  }
}

interface Statement {
  readonly text: string
  readonly values: readonly unknown[]
  readonly name: string | undefined
}

interface Opened {
  readonly client: pg.Client
  readonly socket: Socket
  readonly where: string
  readonly version: string
  readonly isPooled: boolean
}

async function connect({ url, connectTimeoutMs = 5_000 }: PostgresOptions, name: string): Promise<Opened> {
  const driver = await loadDriver()
  const where = describePostgresUrl(url)
  // Of our own, so that it can be destroyed: the client's way to close waits for the server.
  const socket = new Socket()
  const client = makeClient(driver, url, name, socket)
  let firstError: Error | undefined
  client.on('error', (error: Error) => {
    firstError ??= error
  })
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    const reason = `PostgreSQL at ${where} did not answer within ${connectTimeoutMs} ms`
    timer = setTimeout(() => reject(lostConnection(reason)), connectTimeoutMs)
  })
  try {
    const opened = (async () => {
      await client.connect()
      return identify(client, where)
    })()
    const found = await Promise.race([opened, late])
    if (firstError) throw firstError
    return { client, socket, where, ...found }
  } catch (cause) {
    socket.destroy()
    throw asConnectFailure(cause, where)
  } finally {
    clearTimeout(timer)
  }
}

function makeClient(driver: typeof pg, url: string, name: string, socket: Socket): pg.Client {
  try {
    return new driver.Client({
      connectionString: url,
      application_name: name.slice(0, 63),
      stream: () => socket,
      keepAlive: true,
      keepAliveInitialDelayMillis: KEEP_ALIVE_AFTER_MS,
      types: typesOf(driver),
    })
  } catch {
    // Not as the cause: the error of an unreadable URL holds the URL, and with it the password.
    throw new ConfigError('postgres.url cannot be used; expected postgres://[user[:password]@]host[:port]/database', {
      option: 'postgres.url',
    })
  }
}

async function identify(client: pg.Client, where: string): Promise<Pick<Opened, 'version' | 'isPooled'>> {
  const { rows } = await client.query<{ version: string; major: number; is_standby: boolean; pid: number }>(IDENTIFY)
  const [found] = rows
  if (!found) throw new Error('it said nothing of itself')
  if (found.major < OLDEST_VERSION) {
    throw new UnsuitableServerError(
      `Moca needs PostgreSQL ${OLDEST_VERSION} or newer; the server at ${where} is ${found.version}.`,
      { found: found.version, expected: `>= ${OLDEST_VERSION}` },
      'postgres_unsuitable',
    )
  }
  if (found.is_standby) {
    throw lostConnection(`The PostgreSQL at ${where} is a standby; Moca writes, and needs the primary.`)
  }
  // A pooler tells its clients numbers of its own: the server's are of sessions that it shares.
  const { processID } = client as pg.Client & { readonly processID: number | null }
  return { version: found.version, isPooled: processID !== found.pid }
}

function asBreak(cause: Error, where: string): Error {
  const failure = asFailure(cause, where)
  if (failure instanceof ConnectionError) return failure
  return lostConnection(`The connection to PostgreSQL at ${where} broke: ${cause.message}`, cause)
}

/** Host, port and database of a URL, without user and password. */
export function describePostgresUrl(url: string): string {
  try {
    const { hostname, port, pathname, searchParams } = new URL(url)
    const host = decodeURIComponent(hostname) || searchParams.get('host') || 'localhost'
    return `${host}:${port || '5432'}${pathname === '/' ? '' : pathname}`
  } catch {
    return 'an unreadable URL'
  }
}
