import type { ExitCode } from './exit-codes.ts'

/**
 * Ends the process once its output is out. Not by waiting until nothing is left to do: a handler's database pool, say, would keep a
 * worker that has stopped alive for ever.
 */
export function endWith(code: ExitCode): void {
  process.exitCode = code
  process.stdout.write('', () => process.stderr.write('', () => process.exit(code)))
}
