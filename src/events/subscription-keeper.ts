import { type Clock, systemClock } from '../clock.ts'
import { MocaError } from '../errors.ts'
import type { Logger } from '../logger.ts'
import { RepeatedWarning } from '../service/repeated-warning.ts'
import type { Events } from './events.ts'
import type { Subscription } from './subscription.ts'
import type { SubscriptionRegistry } from './subscription-registry.ts'

export interface SubscriptionKeeperDeps {
  readonly events: Pick<Events, 'subscribe'>
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
  readonly #clock: Clock
  readonly #outage: RepeatedWarning
  readonly #stop = new AbortController()
  /** To be registered, whatever the registry says of their names. */
  readonly #due = new Set<Subscription>()
  #looking: Promise<void> | undefined

  constructor(deps: SubscriptionKeeperDeps) {
    this.#deps = deps
    this.#clock = deps.clock ?? systemClock
    this.#outage = new RepeatedWarning(deps.log, this.#clock)
  }

  /**
   * Registers all, or goes on trying in the background where a server is away: jobs can be run without. Rejects with what no other try can
   * mend. Goes on looking until `stop`.
   */
  async start(): Promise<void> {
    for (const subscription of this.#deps.subscriptions) this.#due.add(subscription)
    try {
      await this.runOnce()
    } catch (error) {
      if (!(error instanceof MocaError) || !error.retryable) throw error
      this.#outage.failed(error.message, 'Could not subscribe to events; trying again')
    }
    if (this.#deps.subscriptions.length > 0) this.#looking ??= this.#lookRegularly()
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
    const { status } = await this.#deps.events.subscribe(subscription)
    const { name, topics } = subscription
    if (status !== 'unchanged') this.#deps.log.info({ subscription: name, topics, status }, 'Subscribed to events')
  }

  async #lookRegularly(): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      await this.#clock.wait(LOOK_MS * (0.9 + Math.random() * 0.2), signal)
      if (signal.aborted) return
      try {
        await this.runOnce()
        this.#outage.works('Subscriptions are looked after again')
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error)
        this.#outage.failed(reason, 'Could not see whether subscriptions are registered; trying again')
      }
    }
  }
}
