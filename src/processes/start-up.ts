import { systemClock } from '../clock.ts'
import { ConfigError, MocaError } from '../errors.ts'
import type { Logger } from '../logger.ts'
import type { HealthServer } from '../service/health.ts'

/** A connection normally is there by then. */
const SOON_MS = 500

/** Answers probes where a port is given. Rejects with ConfigError when it cannot be had. `option`: what sets it. */
export async function listen(
  health: HealthServer,
  where: {
    readonly port: number | undefined
    readonly host: string | undefined
    readonly option: string
    readonly log: Logger
  },
): Promise<void> {
  const { port, host, option, log } = where
  if (port === undefined) return
  const bound = await health.start(port, host).catch((error: Error) => {
    throw new ConfigError(`Cannot answer probes on port ${port}: ${error.message}`, { option, found: port })
  })
  log.info({ port: bound }, 'Answering /healthz, /readyz and /metrics')
}

/** Waits for a server that is not there yet. False: asked to stop meanwhile. Rejects when waiting cannot help. */
export async function connectPatiently(
  connect: () => Promise<unknown>,
  server: { readonly name: 'Redis' | 'PostgreSQL'; readonly at: string },
  log: Logger,
  stop: AbortSignal,
): Promise<boolean> {
  const late = new AbortController()
  void systemClock.wait(SOON_MS, late.signal).then(() => {
    if (!late.signal.aborted && !stop.aborted) log.warn({ at: server.at }, `Waiting for ${server.name}`)
  })
  try {
    while (!stop.aborted) {
      const connected = await Promise.race([tryConnect(connect), aborted(stop)])
      if (connected) return true
      await systemClock.wait(RETRY_MS, stop)
    }
    return false
  } finally {
    late.abort()
  }
}

const RETRY_MS = 100

/** False: it may yet come up. */
async function tryConnect(connect: () => Promise<unknown>): Promise<boolean> {
  try {
    await connect()
    return true
  } catch (error) {
    if (error instanceof MocaError && error.retryable) return false
    throw error
  }
}

export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
