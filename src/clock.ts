/** Time inside one process: for timers, back-off and measuring. Durable decisions use the server's time, inside its scripts. */
export interface Clock {
  /** Milliseconds that only grow, from an arbitrary start. */
  monotonicMs(): number
  /** Milliseconds since 1970. */
  wallMs(): number
  /** Resolves after `ms`, or at once (without error) when the signal aborts. */
  wait(ms: number, signal?: AbortSignal): Promise<void>
}

export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  wait: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve()
      const done = () => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', done)
        resolve()
      }
      const timer = setTimeout(done, ms)
      signal?.addEventListener('abort', done, { once: true })
    }),
}
