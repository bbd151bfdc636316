import { dirname } from 'node:path'
import { runDevProcess } from '../processes/dev.ts'
import type { Context } from './context.ts'
import { EXIT, type ExitCode } from './exit-codes.ts'
import { beginLongRunning } from './long-running.ts'

export interface DevOptions {
  readonly fresh?: boolean
  readonly run?: string
}

/** Runs everything in one process, with servers where none is named, until asked to stop. */
export async function runDev(context: Context, { fresh = false, run }: DevOptions): Promise<ExitCode> {
  const { stop, log, input, file } = await beginLongRunning(context, true)
  const { output } = context
  const code = await runDevProcess({
    input,
    project: file === undefined ? process.cwd() : dirname(file),
    isFresh: fresh,
    command: run,
    log,
    stop,
    // Not by the log, which masks what may be secret in a URL; here nothing is.
    onReady: (started) => {
      if (run === undefined) output.result({ ready: true, ...started }, () => describe(started))
    },
  })
  // Of a command that failed: whatever its own code was, here it is a problem.
  return code === 0 ? EXIT.fine : EXIT.problem
}

function describe({ redis, postgres }: { readonly redis?: string; readonly postgres?: string }): string {
  const variables = [
    ...(redis === undefined ? [] : [`REDIS_URL=${redis}`]),
    ...(postgres === undefined ? [] : [`DATABASE_URL=${postgres}`]),
  ]
  return [
    ...(variables.length === 0 ? [] : ['', 'Other programs connect with:', '', `  export ${variables.join(' ')}`]),
    '',
    `Ready. Ctrl-C ends everything${variables.length === 0 ? '' : '; the data stay, until moca dev --fresh'}.`,
    '',
  ].join('\n')
}
