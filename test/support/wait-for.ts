import { setTimeout as sleep } from 'node:timers/promises'

export type WaitForOptions = {
  /** How long to keep asking. Default 5,000. */
  timeoutMs?: number
  /** How long to wait between two questions. Default 10. */
  intervalMs?: number
  /** What is waited for, for the message; a function is called at the deadline, so it can tell the last state. */
  describe?: string | (() => string)
}

/**
 * Polls `condition` until it gives a truthy value, and returns that value. Rejects at the deadline with a message that
 * says what was awaited, what came last, and the last error, if the condition threw (a throw counts as "not yet").
 */
export async function waitFor<T>(
  condition: () => T | Promise<T>,
  options: WaitForOptions = {},
): Promise<NonNullable<T>> {
  const { timeoutMs = 5000, intervalMs = 10, describe } = options
  const startedAt = performance.now()
  let last: { value?: T; error?: unknown } = {}
  for (;;) {
    last = await ask(condition, timeoutMs - (performance.now() - startedAt))
    if (last.value) return last.value
    if (performance.now() - startedAt >= timeoutMs) break
    await sleep(intervalMs)
  }
  const what = (typeof describe === 'function' ? describe() : describe) ?? 'the condition'
  const came = 'error' in last ? `it threw: ${String(last.error)}` : `last value: ${String(last.value)}`
  throw new Error(`waited ${timeoutMs} ms for ${what}; ${came}`, 'error' in last ? { cause: last.error } : {})
}

/** One question. It has what is left of the time to answer, so that a condition that hangs cannot hang the test. */
async function ask<T>(condition: () => T | Promise<T>, leftMs: number): Promise<{ value?: T; error?: unknown }> {
  const timer = new AbortController()
  const late = sleep(Math.max(leftMs, 1), undefined, { signal: timer.signal }).then(
    () => ({ error: new Error('the condition did not answer in time') }),
    () => ({}),
  )
  const answer = (async () => condition())().then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  )
  try {
    return await Promise.race([answer, late])
  } finally {
    timer.abort()
  }
}
