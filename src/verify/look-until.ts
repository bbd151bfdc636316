import type { Clock } from '../clock.ts'

/** Between two looks: short at first, since most canaries are fast, and long in a system that stands still. */
const FIRST_LOOK_MS = 5
const LONGEST_LOOK_MS = 1_000

/** Looks again and again, until a look says that it is enough, or the time is over. */
export async function lookUntil(look: () => Promise<boolean>, withinMs: number, clock: Clock): Promise<void> {
  const until = clock.monotonicMs() + withinMs
  let waitMs = FIRST_LOOK_MS
  for (;;) {
    if (await look()) return
    const leftMs = until - clock.monotonicMs()
    if (leftMs <= 0) return
    await clock.wait(Math.min(waitMs, leftMs))
    waitMs = Math.min(waitMs * 1.2, LONGEST_LOOK_MS)
  }
}
