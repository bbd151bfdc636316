import { makeLogger } from '../processes/log.ts'
import { runOutboxProcess } from '../processes/outbox.ts'
import type { Context } from './context.ts'
import { EXIT, type ExitCode } from './exit-codes.ts'
import { parseWhole } from './flag-values.ts'
import { stopSignal } from './stop-signal.ts'

export interface OutboxStartOptions {
  readonly healthPort?: string
  readonly healthHost?: string
}

/** Relays what was recorded until asked to stop. Its log is its output. */
export async function startOutbox(context: Context, options: OutboxStartOptions): Promise<ExitCode> {
  const stop = stopSignal()
  // Whoever reads the log may go; relaying goes on.
  process.stdout.removeAllListeners('error').on('error', () => {})
  const { verbose, quiet } = context.flags
  const { output } = context
  const isPretty = process.stdout.isTTY && !output.isJson
  const log = makeLogger({ level: verbose ? 'debug' : quiet ? 'warn' : 'info', isPretty, hasColor: output.hasColor })
  const { input } = await context.loadConfig()
  await context.config() // whatever fails from here on is told with its namespace and server
  await runOutboxProcess({
    input,
    log,
    stop,
    healthPort: parseWhole('--health-port', options.healthPort, 0, 65_535),
    healthHost: options.healthHost,
  })
  return EXIT.fine
}
