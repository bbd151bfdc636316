import { ConnectionError, EnqueueError, MocaError } from '../errors.ts'
import { asLayoutError } from './namespace.ts'

/** Errors by which the server says that it did nothing at all. */
export function wasRefusedUnapplied(error: unknown): boolean {
  return (
    error instanceof Error &&
    /^(OOM|MISCONF|READONLY|LOADING|MASTERDOWN|CLUSTERDOWN|NOAUTH|NOPERM|NOREPLICAS|MOCALAYOUT)|MOCALAYOUT none/.test(
      error.message,
    )
  )
}

/** What is told to whoever wanted something accepted (`what`, e.g. "enqueue"), and whether it may have been all the same. */
export function explainFailure(error: unknown, what: string, isSent: boolean): Error {
  const layout = asLayoutError(error)
  if (layout instanceof MocaError && layout.code !== 'connection_lost') return layout
  const message = error instanceof Error ? error.message : String(error)
  if (wasRefusedUnapplied(error)) {
    const text = `Redis refused the ${what}: ${message}. Nothing of it was accepted.`
    return new EnqueueError('redis_refused', text, false, error)
  }
  if (!(error instanceof ConnectionError) && isReply(error)) {
    return new EnqueueError('redis_refused', `Redis answered the ${what} with an error: ${message}`, isSent, error)
  }
  const text = `The connection broke before the ${what} was answered: ${message}`
  return new EnqueueError('connection_lost', text, isSent, error)
}

/** An error that the server sent, as opposed to one of the connection. */
function isReply(error: unknown): boolean {
  return error instanceof Error && /^(ERR|[A-Z]+) /.test(error.message)
}
