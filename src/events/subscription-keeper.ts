import type { Clock } from '../clock.ts'
import { MocaError } from '../errors.ts'
import type { Logger } from '../logger.ts'
import { runLoop } from '../service/loop.ts'
import type { Subscription } from './subscription.ts'
import type { Registration, SubscriptionRegistry } from './subscription-registry.ts'

export interface SubscriptionKeeperDeps {
  readonly register: (subscription: Subscription) => Promise<Registration>
  readonly registry: Pick<SubscriptionRegistry, 'list'>
  readonly subscriptions: readonly Subscription[]
  readonly log: Logger
  readonly clock?: Clock
}

const LOOK_MS = 1_000

/**
 * Registers the subscriptions of a process when it starts, and again those that the server forgot: an emitted event reaches only who is
 * registered. One that somebody took out stays out until another process starts with it.
 */
export class SubscriptionKeeper {
  readonly #deps: SubscriptionKeeperDeps
  readonly #stop = new AbortController()
  /** To be registered, whatever the registry says of their names. */
  readonly #due = new Set<Subscription>()
  #looking: Promise<void> | undefined

  constructor(deps: SubscriptionKeeperDeps) {
    this.#deps = deps
  }

  /**
   * Registers all, or goes on trying in the background where a server is away: jobs can be run without. Rejects with what no other try can
   * mend. Goes on looking until `stop`.
   */
  async start(): Promise<void> {
    const { subscriptions, log, clock } = this.#deps
    if (subscriptions.length === 0) return
    for (const subscription of subscriptions) this.#due.add(subscription)
    try {
      await this.runOnce()
    } catch (error) {
      if (!(error instanceof MocaError) || !error.retryable) throw error
    }
    this.#looking ??= runLoop(() => this.runOnce(), {
      intervalMs: LOOK_MS,
      name: 'subscribe to events',
      log,
      signal: this.#stop.signal,
      ...(clock && { clock }),
    })
  }

  /** Twice is harmless. */
  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#looking
  }

  /** Registers what is not registered yet, and again what was forgotten. */
  async runOnce(): Promise<void> {
    const { registry, subscriptions } = this.#deps
    const known = await registry.list()
    const names = new Set([...known.subscriptions.map(({ name }) => name), ...known.ended])
    for (const subscription of subscriptions) if (!names.has(subscription.name)) this.#due.add(subscription)
    for (const subscription of this.#due) {
      await this.#register(subscription)
      this.#due.delete(subscription)
    }
  }

  async #register(subscription: Subscription): Promise<void> {
    const { status } = await this.#deps.register(subscription)
    const { name, topics } = subscription
    if (status !== 'unchanged') this.#deps.log.info({ subscription: name, topics, status }, 'Subscribed to events')
  }
}
