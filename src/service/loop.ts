import { type Clock, systemClock } from '../clock.ts'
import type { Logger } from '../logger.ts'
import { RepeatedWarning } from './repeated-warning.ts'

export interface LoopOptions {
  /** From the end of a run to the beginning of the next, give or take a tenth. */
  readonly intervalMs: number
  /** What it does, for the log. */
  readonly name: string
  readonly log: Logger
  /** Ends the loop. A run under way is waited for. */
  readonly signal: AbortSignal
  readonly clock?: Clock
}

/** Runs something again and again until the signal aborts: at once, then at intervals. A run that rejects is told, and tried again. */
export async function runLoop(runOnce: () => Promise<unknown>, options: LoopOptions): Promise<void> {
  const { intervalMs, name, log, signal, clock = systemClock } = options
  const warning = new RepeatedWarning(log, clock)
  while (!signal.aborted) {
    try {
      await runOnce()
      warning.works(`It works again: ${name}`)
    } catch (error) {
      warning.failed(error instanceof Error ? error.message : String(error), `It failed, and is tried again: ${name}`)
    }
    await clock.wait(intervalMs * (0.9 + Math.random() * 0.2), signal)
  }
}
