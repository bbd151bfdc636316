import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { type Clock, systemClock } from '../clock.ts'
import { SchemaError } from '../errors.ts'
import type { Logger } from '../logger.ts'
import type { PostgresConnection } from '../postgres/connection.ts'
import type { Lane } from './lane.ts'
import { requireSchema } from './migrations.ts'
import { RelaySession, type SessionDeps } from './relay-session.ts'
import { RelayStore } from './relay-store.ts'

export interface RelayDeps<Content> {
  /** Opens a connection of the relay's own. */
  readonly connect: () => Promise<PostgresConnection>
  readonly schema: string
  readonly namespace: string
  /** Makes what a session works with, on its connection. */
  readonly open: (connection: PostgresConnection, logId: string) => Pick<SessionDeps<Content>, 'sink' | 'subscriptions'>
  /** Of the sink. */
  readonly sinkName: string
  readonly settings: { readonly leaseMs: number; readonly pollIntervalMs: number; readonly redriveMaxMs: number }
  readonly log: Logger
  readonly clock?: Clock
  readonly onPass?: SessionDeps<Content>['onPass']
}

/** What a relay is known by, for readiness and metrics. */
export interface RelayHealth {
  /** ms since it last found the log readable. */
  readonly lastPassAgoMs: number
  readonly lanes: readonly Lane[]
}

const FIRST_DELAY_MS = 50
const LONGEST_DELAY_MS = 2_000

/** Relays the log to one sink, from one process of several: opens a session, and another one when it breaks, until it is stopped. */
export class Relay<Content> {
  readonly id = `${hostname()}-${process.pid}-${randomUUID().slice(0, 8)}`
  readonly #deps: RelayDeps<Content>
  readonly #stop = new AbortController()
  #running: Promise<void> | undefined
  #session: RelaySession<Content> | undefined
  #lastPassAtMs = -Infinity

  constructor(deps: RelayDeps<Content>) {
    this.#deps = deps
  }

  /** Begins. Twice is harmless. */
  start(): void {
    this.#running ??= this.#run()
  }

  /** Lets what is under way settle, gives its lanes to others, and ends. Twice is harmless. */
  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#running
  }

  health(): RelayHealth {
    const { clock = systemClock } = this.#deps
    return { lastPassAgoMs: clock.monotonicMs() - this.#lastPassAtMs, lanes: this.#session?.lanes ?? [] }
  }

  async #run(): Promise<void> {
    const { clock = systemClock, log } = this.#deps
    const { signal } = this.#stop
    let delayMs = FIRST_DELAY_MS
    while (!signal.aborted) {
      const beganAtMs = clock.monotonicMs()
      try {
        await this.#relay(signal)
      } catch (error) {
        log.warn(
          { reason: error instanceof Error ? error.message : String(error) },
          'Relaying was interrupted; beginning anew',
        )
      }
      if (signal.aborted) return
      if (clock.monotonicMs() - beganAtMs > LONGEST_DELAY_MS) delayMs = FIRST_DELAY_MS
      await clock.wait(delayMs * (0.5 + Math.random() / 2), signal)
      delayMs = Math.min(delayMs * 2, LONGEST_DELAY_MS)
    }
  }

  async #relay(signal: AbortSignal): Promise<void> {
    const { connect, open, schema, namespace, sinkName, settings, log, clock = systemClock, onPass } = this.#deps
    const connection = await connect()
    try {
      const store = new RelayStore(connection, { schema, sink: sinkName, relay: this.id })
      await requireSchema(connection, { schema, namespace })
      const deployment = await store.deployment()
      requireHome(deployment, schema)
      this.#session = new RelaySession({
        ...open(connection, deployment.logId),
        store,
        logId: deployment.logId,
        settings: { ...settings, host: hostname(), pid: process.pid },
        log,
        clock,
        onLook: () => {
          this.#lastPassAtMs = clock.monotonicMs()
        },
        ...(onPass && { onPass }),
      })
      await this.#session.run(signal)
    } finally {
      this.#session = undefined
      connection.destroy()
    }
  }
}

type Deployment = Awaited<ReturnType<RelayStore['deployment']>>

/** Throws SchemaError when this log is a copy, in another cluster than its transaction ids are from. */
function requireHome(found: Deployment, schema: string): asserts found is NonNullable<Deployment> {
  if (found?.isHome) return
  throw new SchemaError(
    `The log in schema ${schema} was copied to another PostgreSQL, where transaction ids are counted anew. Nothing is relayed until moca outbox rebase.`,
    { schema, problem: 'copied' },
  )
}
