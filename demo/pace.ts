import { setTimeout as wait } from 'node:timers/promises'

export interface PaceOptions {
  readonly pages: number
  /** How many ask at once. Default 1. */
  readonly writers?: number
  /** True once everything that was to be killed has been. */
  readonly isOver: () => boolean
  readonly signal: AbortSignal
}

const MAIN_PART = 0.8
const MAIN_PART_MS = 16_000
const TRICKLE_MS = 400
/** The last ones come ever more slowly, so that they last. */
const LAST_PAGES = 20
const LOOK_EVERY_MS = 50

/**
 * Spreads the import so that every kill meets work under way, on any machine and for any number of rows: the first four fifths
 * over 16 s, the rest in a trickle that does not end before the last kill, then as fast as it goes.
 */
export function makePace({ pages, writers = 1, isOver, signal }: PaceOptions): (page: number) => Promise<void> {
  const startedAt = performance.now()
  const mainPages = pages * MAIN_PART
  return async (page) => {
    signal.throwIfAborted()
    if (page < mainPages) await waitUntil(startedAt + (page / mainPages) * MAIN_PART_MS, signal)
    else {
      const slower = Math.max(1, LAST_PAGES / (pages - page))
      const until = performance.now() + TRICKLE_MS * writers * slower
      while (!isOver() && performance.now() < until) await wait(LOOK_EVERY_MS, undefined, { signal })
    }
  }
}

async function waitUntil(at: number, signal: AbortSignal): Promise<void> {
  const left = at - performance.now()
  if (left > 0) await wait(left, undefined, { signal })
}
