import { AccessError, ConnectionError, MocaError, SqlError } from '../errors.ts'

// What a server says when it goes away, comes up, is full or is only a copy, and what was asked may succeed on another connection.
const AWAY = /^(08...|57P0[1235]|53300|25006)$/
const LOGIN = /^28/
const NOT_PERMITTED = '42501'
const DOCUMENT = 'docs/reference/postgres.md lists all that Moca needs.'

/** What `pg` has of an answer of the server. */
interface Refusal extends Error {
  readonly code: string
  readonly hint?: string
  readonly table?: string
  readonly constraint?: string
}

/** Turns what `pg` rejects with into an error of Moca. `where`: host, port and database. Anything that is none of the server comes back as it is. */
export function asFailure(error: unknown, where: string): Error {
  if (error instanceof MocaError) return error
  if (!(error instanceof Error)) return new Error(String(error))
  if (!isRefusal(error)) return error
  const { code: sqlState, message } = error
  if (AWAY.test(sqlState)) return lostConnection(`PostgreSQL at ${where} went away: ${message}`, error, sqlState)
  if (LOGIN.test(sqlState)) return refusedLogin(error.message, where, error, sqlState)
  if (sqlState === NOT_PERMITTED) {
    return new AccessError(
      `PostgreSQL at ${where} does not permit this user what was asked: ${message}. ${DOCUMENT}`,
      { found: message, sqlState },
      error,
      'postgres_refused',
    )
  }
  const { hint, table, constraint } = error
  return new SqlError(message, sqlState, { hint, table, constraint }, error)
}

/** As `asFailure`, while a connection is made: whatever else goes wrong then is a connection that could not be opened. */
export function asConnectFailure(error: unknown, where: string): Error {
  if (error instanceof MocaError) return error
  const message = messageOf(error)
  // No answer of the server: the client found that it has no password to give.
  if (message.startsWith('SASL:')) return refusedLogin(message, where, error, '28P01')
  if (error instanceof Error && isRefusal(error) && !AWAY.test(error.code)) {
    const failure = asFailure(error, where)
    if (!(failure instanceof SqlError)) return failure
    return new SqlError(
      `Could not connect to PostgreSQL at ${where}: ${message}`,
      failure.sqlState,
      failure.facts,
      error,
    )
  }
  const sqlState = error instanceof Error && isRefusal(error) ? error.code : undefined
  return lostConnection(`Could not connect to PostgreSQL at ${where}: ${message}`, error, sqlState)
}

export function lostConnection(message: string, cause?: unknown, sqlState?: string): ConnectionError {
  return new ConnectionError(message, cause, { server: 'PostgreSQL', ...(sqlState !== undefined && { sqlState }) })
}

function refusedLogin(found: string, where: string, cause: unknown, sqlState: string): AccessError {
  return new AccessError(
    `PostgreSQL at ${where} lets nobody in with this user and password: ${found}. They are part of postgres.url of the configuration, or of DATABASE_URL (postgres://user:password@host:port/database).`,
    { found, sqlState, isLogin: true },
    cause,
    'postgres_refused',
  )
}

function isRefusal(error: Error): error is Refusal {
  // Codes of five characters are the server's; those of Node (EPIPE) have none of the further fields.
  return 'severity' in error && 'code' in error && typeof error.code === 'string' && /^[0-9A-Z]{5}$/.test(error.code)
}

/** Of several addresses that were tried, Node says nothing but in the parts. */
function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(messageOf).join('; ')
  return error instanceof Error ? error.message : String(error)
}
