import { AccessError, MocaError } from '../errors.ts'

const CREDENTIALS = /^(WRONGPASS|NOAUTH|ERR AUTH) /
// A script that may not run one of its commands fails by an error of its own, worded differently from release to release.
const PERMISSION = /^NOPERM|user executing the script can't|ACL failure in script/
const ALL = 'docs/reference/redis-user.md lists all that Moca needs.'

/** What was asked when the server refused. */
export interface Asked {
  readonly command: readonly string[]
  /** Name of the script, where the command runs one. */
  readonly script?: string
}

/** Turns the server's refusal of a user, or of a command of it, into an AccessError; anything else comes back as it is. */
export function asAccessError(error: unknown, asked?: Asked): unknown {
  if (!(error instanceof Error) || error instanceof MocaError) return error
  return PERMISSION.test(error.message) ? notPermitted(error, asked) : error
}

/** As `asAccessError`, while a connection is made. `where`: host and port. */
export function asLoginError(error: unknown, where: string): unknown {
  if (!(error instanceof Error) || !CREDENTIALS.test(error.message)) return asAccessError(error)
  return new AccessError(`Redis at ${where} ${explainLogin(error.message)}`, { found: error.message }, error)
}

function explainLogin(found: string): string {
  const put = 'in redis.url of the configuration, or REDIS_URL (redis://user:password@host:port)'
  if (found.startsWith('NOAUTH')) return `wants a password, and redis.url has none: ${found} Put it ${put}.`
  if (found.startsWith('ERR')) return `wants no password, and redis.url has one: ${found} Leave it out ${put}.`
  return `lets nobody in with this user and password: ${found} Put those of a user of this server ${put}.`
}

function notPermitted(error: Error, asked: Asked | undefined): AccessError {
  const found = error.message
  const named = /the '([^']+)' command/.exec(found)?.[1]
  const command = asked ? nameOf(asked.command) : (named ?? 'a command')
  const key = asked?.command.find((arg) => arg.startsWith('{moca:'))
  const what = asked?.script ? `the script ${asked.script}` : [command, key].filter(Boolean).join(' ')
  const keys = key === undefined ? '~{moca:<namespace>}:*' : `~${key.slice(0, key.indexOf('}') + 1)}:*`
  const grant =
    /keys?\b/.test(found) && !named ? `the keys ${keys}` : named ? `+${named}` : 'the commands of the script'
  return new AccessError(
    `Redis refused ${what} to this user: ${found} Grant ${grant}; ${ALL}`,
    { found, command, key },
    error,
  )
}

function nameOf([name = '', sub]: readonly string[]): string {
  return name === 'SCRIPT' || name === 'CLIENT' ? `${name}|${sub}` : name
}
