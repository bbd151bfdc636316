import { MocaError } from '../errors.ts'
import { type Duration, parseDuration } from './duration.ts'
import { cutStored, storedBytes } from './stored-text.ts'

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

/** What of an error is kept with its job. */
export interface ErrorFacts {
  readonly m: string
  /** Its frames, without the message above them; or what else its stack says. */
  readonly st?: string
}

/** The most that a kept error takes in its entry, number and instant included: one of the shares of ENTRY_LIMIT_BYTES. */
export const KEPT_ERROR_BYTES = 768
/** `{"n":1000,"at":1795539896662,"m":"","st":""},` and a little more. */
const FRAME_BYTES = 48
const MESSAGE_BYTES = 360

/** The facts of an error that are kept with a job, bounded. `said`: what the handler said besides; it comes first. */
export function describeError(error: unknown, said?: string): ErrorFacts {
  const { message, stack } = readQuietly(error)
  const m = cutStored(said === undefined ? message : `${said}: ${message}`, MESSAGE_BYTES)
  if (stack === undefined) return { m }
  return { m, st: cutStored(stack, KEPT_ERROR_BYTES - FRAME_BYTES - storedBytes(m)) }
}

/** The stack of a kept error, as people know it. */
export function stackOf({ m, st }: ErrorFacts): string | undefined {
  return st?.startsWith(FRAME) ? `${m}\n${st}` : st
}

const FRAME = '    at '

// Anything can be thrown, also what cannot be turned into a text: to describe it must not fail, or its worker would.
function readQuietly(error: unknown): { message: string; stack?: string } {
  try {
    return read(error)
  } catch {
    return { message: 'The handler threw something that cannot be shown' }
  }
}

function read(error: unknown): { message: string; stack?: string } {
  if (!(error instanceof Error)) return { message: String(error) }
  const code = error instanceof MocaError ? ` [${error.code}]` : ''
  const message = `${error.name === 'Verdict' ? '' : `${error.name}: `}${error.message}${code}`
  return typeof error.stack === 'string' ? { message, stack: framesOf(error.stack) } : { message }
}

/** Above its frames a stack repeats the message: room that the frames need more. */
function framesOf(stack: string): string {
  const at = stack.search(/^ {4}at /m)
  return at < 0 ? stack : stack.slice(at)
}
