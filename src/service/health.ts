import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** Whether a process works, and what it is known by. */
export interface Readiness {
  readonly isReady: boolean
  /** Why not; empty when it is. */
  readonly reasons: readonly string[]
  readonly facts: Readonly<Record<string, unknown>>
}

export interface HealthDeps {
  readonly readiness: () => Readiness
  readonly metrics: () => Promise<{ readonly contentType: string; readonly text: string }>
  /** Called with an error of the server while it listens, such as no free file descriptor; it goes on. Default: none is told. */
  readonly onError?: (error: Error) => void
}

/**
 * Answers probes: /healthz says that the process answers at all (an event loop that is blocked does not), /readyz that it works,
 * /metrics what it did. For a cluster's probes: it tells names of queues and types, nothing of payloads.
 */
export class HealthServer {
  readonly #deps: HealthDeps
  #server: Server | undefined

  constructor(deps: HealthDeps) {
    this.#deps = deps
  }

  /** Listens; resolves with the port. Rejects when the port is taken. `host`: default all addresses. */
  start(port: number, host?: string): Promise<number> {
    const server = createServer((request, response) => {
      void this.#answer(request.url ?? '/', response)
    })
    this.#server = server
    return new Promise((resolve, reject) => {
      server.once('error', reject)
      server.listen(port, host, () => {
        server.off('error', reject)
        server.on('error', (error) => this.#deps.onError?.(error))
        resolve((server.address() as AddressInfo).port)
      })
    })
  }

  /** Twice is harmless. */
  async stop(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    if (!server?.listening) return
    await new Promise<void>((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  }

  async #answer(url: string, response: ServerResponse): Promise<void> {
    try {
      const [path] = url.split('?')
      if (path === '/healthz') return send(response, 200, 'application/json', '{"status":"ok"}')
      if (path === '/readyz') return this.#answerReadiness(response)
      if (path !== '/metrics') return send(response, 404, 'text/plain', 'Known are /healthz, /readyz and /metrics')
      const { contentType, text } = await this.#deps.metrics()
      send(response, 200, contentType, text)
    } catch (error) {
      send(response, 500, 'text/plain', error instanceof Error ? error.message : 'failed')
    }
  }

  #answerReadiness(response: ServerResponse): void {
    const { isReady, reasons, facts } = this.#deps.readiness()
    const body = JSON.stringify({ status: isReady ? 'ready' : 'not ready', reasons, ...facts })
    send(response, isReady ? 200 : 503, 'application/json', body)
  }
}

function send(response: ServerResponse, status: number, contentType: string, body: string): void {
  response.writeHead(status, { 'content-type': contentType, 'cache-control': 'no-store' }).end(body)
}
