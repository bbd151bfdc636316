import { tellBackends } from '../processes/backends.ts'
import { runOutboxProcess } from '../processes/outbox.ts'
import type { Context } from './context.ts'
import { EXIT, type ExitCode } from './exit-codes.ts'
import { parseWhole } from './flag-values.ts'
import { beginLongRunning } from './long-running.ts'

export interface OutboxStartOptions {
  readonly healthPort?: string
  readonly healthHost?: string
}

/** Relays what was recorded until asked to stop. Its log is its output. */
export async function startOutbox(context: Context, options: OutboxStartOptions): Promise<ExitCode> {
  const { stop, log, input } = await beginLongRunning(context)
  const settings = {
    input,
    log,
    stop,
    healthPort: parseWhole('--health-port', options.healthPort, 0, 65_535),
    healthHost: options.healthHost,
  }
  tellBackends(await context.config(), log)
  await runOutboxProcess(settings)
  return EXIT.fine
}
