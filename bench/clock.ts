/**
 * Milliseconds of the machine's monotonic clock (CLOCK_MONOTONIC). Unlike `performance.now()` it has the same zero in
 * every process of a machine, so that one process can take the time that another process left behind.
 */
export function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime()
  return seconds * 1000 + nanoseconds / 1e6
}

/** Wall-clock milliseconds with a fraction, for what the systems under test schedule by the wall clock. */
export function wallClockMs(): number {
  return performance.timeOrigin + performance.now()
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
