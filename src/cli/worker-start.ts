import { tellBackends } from '../processes/backends.ts'
import { runWorkerProcess } from '../processes/worker.ts'
import type { Context } from './context.ts'
import { EXIT, type ExitCode } from './exit-codes.ts'
import { parseWhole } from './flag-values.ts'
import { beginLongRunning } from './long-running.ts'

export interface WorkerStartOptions {
  readonly queues?: string
  readonly concurrency?: string
  readonly burst?: boolean
  readonly healthPort?: string
  readonly healthHost?: string
}

/** Runs the jobs of the configuration's apps until asked to stop. Its log is its output. */
export async function startWorker(context: Context, options: WorkerStartOptions): Promise<ExitCode> {
  const { stop, log, input } = await beginLongRunning(context)
  const settings = {
    input,
    log,
    stop,
    queues: options.queues?.split(',').map((name) => name.trim()),
    concurrency: parseWhole('--concurrency', options.concurrency, 1, 10_000),
    isBurst: options.burst ?? false,
    healthPort: parseWhole('--health-port', options.healthPort, 0, 65_535),
    healthHost: options.healthHost,
  }
  tellBackends(await context.config(), log)
  await runWorkerProcess(settings)
  return EXIT.fine
}
