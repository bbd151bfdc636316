import { makeLogger } from '../processes/log.ts'
import { runWorkerProcess } from '../processes/worker.ts'
import type { Context } from './context.ts'
import { EXIT, type ExitCode } from './exit-codes.ts'
import { parseWhole } from './flag-values.ts'
import { stopSignal } from './stop-signal.ts'

export interface WorkerStartOptions {
  readonly queues?: string
  readonly concurrency?: string
  readonly burst?: boolean
  readonly healthPort?: string
  readonly healthHost?: string
}

/** Runs the jobs of the configuration's apps until asked to stop. Its log is its output. */
export async function startWorker(context: Context, options: WorkerStartOptions): Promise<ExitCode> {
  const stop = stopSignal()
  // Whoever reads the log may go; the jobs go on.
  process.stdout.removeAllListeners('error').on('error', () => {})
  const { verbose, quiet } = context.flags
  const { output } = context
  const isPretty = process.stdout.isTTY && !output.isJson
  const log = makeLogger({ level: verbose ? 'debug' : quiet ? 'warn' : 'info', isPretty, hasColor: output.hasColor })
  const { input } = await context.loadConfig()
  await context.config() // whatever fails from here on is told with its namespace and server
  await runWorkerProcess({
    input,
    log,
    stop,
    queues: options.queues?.split(',').map((name) => name.trim()),
    concurrency: parseWhole('--concurrency', options.concurrency, 1, 10_000),
    isBurst: options.burst ?? false,
    healthPort: parseWhole('--health-port', options.healthPort, 0, 65_535),
    healthHost: options.healthHost,
  })
  return EXIT.fine
}
