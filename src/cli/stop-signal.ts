import { EXIT } from './exit-codes.ts'

/** Aborts on the first SIGTERM or SIGINT. The second ends the process at once: what it held is rescued by others. */
export function stopSignal(): AbortSignal {
  const controller = new AbortController()
  const onSignal = () => {
    if (controller.signal.aborted) process.exit(EXIT.interrupted)
    controller.abort()
  }
  process.on('SIGTERM', onSignal).on('SIGINT', onSignal)
  return controller.signal
}
