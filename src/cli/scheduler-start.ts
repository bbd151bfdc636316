import { tellBackends } from '../processes/backends.ts'
import { runSchedulerProcess } from '../processes/scheduler.ts'
import type { Context } from './context.ts'
import { EXIT, type ExitCode } from './exit-codes.ts'
import { parseWhole } from './flag-values.ts'
import { beginLongRunning } from './long-running.ts'

export interface SchedulerStartOptions {
  readonly healthPort?: string
  readonly healthHost?: string
}

/** Fires schedules, or stands by, until asked to stop. Its log is its output. */
export async function startScheduler(context: Context, options: SchedulerStartOptions): Promise<ExitCode> {
  const { stop, log, input } = await beginLongRunning(context)
  const settings = {
    input,
    log,
    stop,
    healthPort: parseWhole('--health-port', options.healthPort, 0, 65_535),
    healthHost: options.healthHost,
  }
  tellBackends(await context.config(), log)
  await runSchedulerProcess(settings)
  return EXIT.fine
}
