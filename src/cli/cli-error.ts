import {
  AccessError,
  ConfigError,
  ConnectionError,
  EnqueueError,
  LayoutError,
  MocaError,
  OptionError,
  SchemaError,
  SqlError,
  UnsuitableServerError,
} from '../errors.ts'
import { EXIT, type ExitCode } from './exit-codes.ts'

/** A command used in a way that cannot work. `fix` says what would. */
export class UsageError extends Error {
  readonly fix: string

  constructor(message: string, fix: string) {
    super(message)
    this.name = 'UsageError'
    this.fix = fix
  }
}

/** What was named is not there. */
export class NotFoundError extends Error {
  readonly fix: string

  constructor(message: string, fix: string) {
    super(message)
    this.name = 'NotFoundError'
    this.fix = fix
  }
}

/** What a person needs to know of an error. */
export interface Explanation {
  readonly error: string
  readonly code: string
  readonly context: string | undefined
  readonly cause: string | undefined
  readonly fix: string
  readonly exitCode: ExitCode
}

/** `context`: what the command was working with, as far as it had come. */
export function explain(error: unknown, context: string | undefined): Explanation {
  const message = error instanceof Error ? error.message : String(error)
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : undefined
  const [fix, exitCode] = advise(error)
  // A cause that the message has told already is no news.
  return {
    error: message,
    code: codeOf(error),
    context,
    cause: cause !== undefined && !message.includes(cause) ? cause : undefined,
    fix,
    exitCode,
  }
}

function codeOf(error: unknown): string {
  if (error instanceof MocaError) return error.code
  if (error instanceof UsageError) return 'usage'
  if (error instanceof NotFoundError) return 'not_found'
  return isRefusal(error) ? 'redis_refused' : 'unexpected'
}

/** What the server answers when it cannot do something. */
function isRefusal(error: unknown): boolean {
  return error instanceof Error && /^(MISCONF|OOM) /.test(error.message)
}

function advise(error: unknown): [fix: string, exitCode: ExitCode] {
  if (error instanceof UsageError) return [error.fix, EXIT.wrongUse]
  if (error instanceof NotFoundError) return [error.fix, EXIT.problem]
  if (error instanceof ConfigError && typeof error.facts.package === 'string')
    return [`Run npm install ${error.facts.package}.`, EXIT.wrongUse]
  if (error instanceof ConfigError)
    return ['Change the configuration, the environment variable or the flag that is named.', EXIT.wrongUse]
  if (error instanceof OptionError) return ['See --help of the command.', EXIT.wrongUse]
  if (error instanceof MocaError && isOfPostgres(error)) return adviseOnPostgres(error)
  if (error instanceof AccessError && error.facts.command === undefined) {
    return [
      'Redis runs, and refuses the user or password. They are part of redis.url of the configuration, or of REDIS_URL.',
      EXIT.unreachable,
    ]
  }
  if (error instanceof AccessError)
    return ['Grant the user what the message names: see docs/reference/redis-user.md.', EXIT.problem]
  if (error instanceof ConnectionError || error instanceof EnqueueError) {
    return [
      'Is Redis running, and is its address right? It is redis.url of the configuration, or REDIS_URL. --timeout waits longer.',
      EXIT.unreachable,
    ]
  }
  if (error instanceof LayoutError)
    return ['Run a release of Moca that knows this layout, or choose another --namespace.', EXIT.problem]
  if (error instanceof UnsuitableServerError)
    return ['Change the server as the message says, then try again.', EXIT.problem]
  if (error instanceof MocaError && (error.code === 'search_busy' || error.code === 'search_differs'))
    return ['Do what the message says, then try again.', EXIT.problem]
  if (isRefusal(error)) {
    return [
      'Redis runs, and refused a command. Change what the message names: memory or disk of the server.',
      EXIT.problem,
    ]
  }
  return [
    'This is a bug in Moca, or something it did not expect. --verbose shows where; please report it.',
    EXIT.problem,
  ]
}

function isOfPostgres(error: MocaError): boolean {
  return (
    error.code === 'postgres_refused' ||
    error.facts.server === 'PostgreSQL' ||
    error instanceof SchemaError ||
    error instanceof SqlError
  )
}

const SCHEMA_FIXES: Readonly<Record<string, string>> = {
  missing: 'Run moca migrate, with the role that is to own the schema.',
  older: 'Run moca migrate, with the role that owns the schema.',
  newer: 'Run a release of Moca that knows this schema.',
  changed: 'Run the release of Moca that made the schema, or set postgres.schema to another one.',
  foreign: 'Set postgres.schema to a schema of this namespace, or choose its --namespace.',
  copied: 'Run moca outbox rebase, when this PostgreSQL is the one to go on with.',
}

function adviseOnPostgres(error: MocaError): [fix: string, exitCode: ExitCode] {
  if (error instanceof SchemaError) {
    return [SCHEMA_FIXES[String(error.facts.problem)] ?? 'Do what the message says, then try again.', EXIT.problem]
  }
  if (error instanceof ConnectionError) {
    return [
      'Is PostgreSQL running, and is its address right? It is postgres.url of the configuration, or DATABASE_URL. --timeout waits longer.',
      EXIT.unreachable,
    ]
  }
  if (error.facts.isLogin === true) {
    return [
      'PostgreSQL runs, and refuses the user or password. They are part of postgres.url of the configuration, or of DATABASE_URL.',
      EXIT.unreachable,
    ]
  }
  if (error instanceof AccessError)
    return ['Grant the user what the message names: see docs/reference/postgres.md.', EXIT.problem]
  const hint = typeof error.facts.hint === 'string' ? ` ${error.facts.hint}` : ''
  return [`PostgreSQL runs, and refused a statement (SQLSTATE ${String(error.facts.sqlState)}).${hint}`, EXIT.problem]
}
