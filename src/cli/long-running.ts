import type { ConfigInput } from '../config/options.ts'
import type { Logger } from '../logger.ts'
import { makeLogger } from '../processes/log.ts'
import type { Context } from './context.ts'
import { stopSignal } from './stop-signal.ts'

/** What a command that goes on until it is asked to stop begins with. Its log is its output. `isPretty`: for people to read. */
export async function beginLongRunning(
  context: Context,
  isPretty: boolean = process.stdout.isTTY,
): Promise<{
  readonly stop: AbortSignal
  readonly log: Logger
  readonly input: ConfigInput
  readonly file: string | undefined
}> {
  const stop = stopSignal()
  // Whoever reads the log may go; the work goes on.
  process.stdout.removeAllListeners('error').on('error', () => {})
  const { verbose, quiet } = context.flags
  const { isJson, hasColor } = context.output
  const level = verbose ? 'debug' : quiet ? 'warn' : 'info'
  const log = makeLogger({ level, isPretty: isPretty && !isJson, hasColor })
  const { input, file } = await context.loadConfig()
  await context.config() // whatever fails from here on is told with its namespace and server
  return { stop, log, input, file }
}
