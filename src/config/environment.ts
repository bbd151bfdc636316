/**
 * Sets a variable for this process, so that an option of the command line holds for everything in it: also for a Moca that the
 * application's own handlers make. Only for programs, before anything reads its configuration.
 */
export function overrideEnvironment(variable: 'MOCA_NAMESPACE' | 'REDIS_URL', value: string): void {
  process.env[variable] = value
}
