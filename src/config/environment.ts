/**
 * Sets a variable for this process, so that an option of the command line holds for everything in it: also for a Moca that the
 * application's own handlers make. Only for programs, before anything reads its configuration.
 */
export function overrideEnvironment(variable: 'MOCA_NAMESPACE' | 'REDIS_URL' | 'DATABASE_URL', value: string): void {
  process.env[variable] = value
}

/** What programs of PostgreSQL see: others of the caller's variables, such as PGDATA, would lead them astray. */
export function programEnvironment(): NodeJS.ProcessEnv {
  return { PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC' }
}
