import { runSearchProcess } from '../processes/search.ts'
import type { Context } from './context.ts'
import { EXIT, type ExitCode } from './exit-codes.ts'
import { parseWhole } from './flag-values.ts'
import { beginLongRunning } from './long-running.ts'

export interface SearchSyncOptions {
  readonly healthPort?: string
  readonly healthHost?: string
}

/** Keeps the search indexes as their tables are, until asked to stop. Its log is its output. */
export async function syncSearch(context: Context, options: SearchSyncOptions): Promise<ExitCode> {
  const { stop, log, input } = await beginLongRunning(context)
  const healthPort = parseWhole('--health-port', options.healthPort, 0, 65_535)
  await runSearchProcess({ input, log, stop, healthPort, healthHost: options.healthHost })
  return EXIT.fine
}
