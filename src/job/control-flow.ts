import { MocaError } from '../errors.ts'
import { type Duration, parseDuration } from './duration.ts'

/** What a handler throws to say how its attempt ended, other than by an ordinary error. */
export class Verdict extends Error {
  readonly kind: 'retry' | 'snooze' | 'fail' | 'cancel'
  readonly afterMs: number | undefined
  readonly mayRetry: boolean

  constructor(kind: Verdict['kind'], message: string, afterMs: number | undefined, mayRetry: boolean, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'Verdict'
    this.kind = kind
    this.afterMs = afterMs
    this.mayRetry = mayRetry
  }
}

/** `throw retry({ after: '1m' })`: this attempt failed; try again, after the given time instead of the policy's. An attempt is charged. */
export function retry(options: { after?: Duration; reason?: string; cause?: unknown } = {}): Verdict {
  const afterMs = options.after === undefined ? undefined : parseDuration(options.after, 'retry: after')
  return new Verdict('retry', options.reason ?? 'The handler asked for a retry', afterMs, true, options.cause)
}

/** `throw snooze('30s')`: not now. No attempt is charged. */
export function snooze(time: Duration): Verdict {
  return new Verdict('snooze', 'The handler asked to be called later', parseDuration(time, 'snooze'), true)
}

/** `throw fail('no such customer', { retry: false })`: this attempt failed; with `retry: false` the job is a dead letter at once. */
export function fail(reason: string, options: { retry?: boolean; cause?: unknown } = {}): Verdict {
  return new Verdict('fail', reason, undefined, options.retry ?? true, options.cause)
}

/** `throw cancel()`: the job is no longer wanted. It is counted as cancelled, not as failed. */
export function cancel(reason = 'The handler cancelled its job'): Verdict {
  return new Verdict('cancel', reason, undefined, false)
}

/** The facts of an error that are kept with a job. Bounded: a message of 500 characters, a stack of 1,500. */
export function describeError(error: unknown): { m: string; st?: string } {
  const { m, st } = cutQuietly(error)
  // A cut may go through a surrogate pair, and the server's JSON reader refuses half a pair.
  return st === undefined ? { m: m.toWellFormed() } : { m: m.toWellFormed(), st: st.toWellFormed() }
}

// Anything can be thrown, also what cannot be turned into a text: to describe it must not fail, or its worker would.
function cutQuietly(error: unknown): { m: string; st?: string } {
  try {
    return cut(error)
  } catch {
    return { m: 'The handler threw something that cannot be shown' }
  }
}

function cut(error: unknown): { m: string; st?: string } {
  if (error instanceof Error) {
    const code = error instanceof MocaError ? ` [${error.code}]` : ''
    const message = `${error.name === 'Verdict' ? '' : `${error.name}: `}${error.message}${code}`.slice(0, 500)
    return typeof error.stack !== 'string' ? { m: message } : { m: message, st: error.stack.slice(0, 1_500) }
  }
  return { m: String(error).slice(0, 500) }
}
