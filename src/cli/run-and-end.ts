import { EXIT, type ExitCode } from './exit-codes.ts'
import { runCommandLine } from './program.ts'

/**
 * Runs a command and ends the process with its code, once its output is out. Not by waiting until nothing is left to do: a handler's
 * database pool, say, would keep a worker that has stopped alive for ever.
 */
export async function runAndEnd(args: readonly string[]): Promise<void> {
  // `moca queue list | head`: nobody wants the rest.
  process.stdout.on('error', () => process.exit(EXIT.fine))
  const code: ExitCode = await runCommandLine(args)
  process.exitCode = code
  process.stdout.write('', () => process.stderr.write('', () => process.exit(code)))
}
