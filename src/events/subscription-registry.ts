import { OptionError } from '../errors.ts'
import type { Subscription, SubscriptionDefinition } from './subscription.ts'

/** An event becomes a job for each of its subscriptions, all in one script, which holds up everybody else while it runs. */
export const MOST_SUBSCRIPTIONS = 1_000

/** Why another one is refused. */
export function tooManySubscriptions(name: string): OptionError {
  return new OptionError(
    `Subscription ${name} cannot be registered: there are ${MOST_SUBSCRIPTIONS} already, the most that there can be. End one that nobody needs: moca events unsubscribe NAME.`,
    { option: 'subscriptions', found: MOST_SUBSCRIPTIONS },
  )
}

export interface RegisteredSubscription extends SubscriptionDefinition {
  /** The set's version with which its name was registered: another one after it was taken out and registered again. */
  readonly since: number
}

/** Who gets events, and the version of that set, which grows with every change. */
export interface RegisteredSet {
  /** 0: nobody ever registered. */
  readonly version: number
  readonly subscriptions: readonly RegisteredSubscription[]
  /** Names that were taken out and not registered again. What is neither here nor there was never registered, or was forgotten. */
  readonly ended: readonly string[]
}

export interface Registration {
  readonly status: 'registered' | 'changed' | 'unchanged'
  /** Of the set, with it. */
  readonly version: number
}

/**
 * Where subscriptions are registered: rows in PostgreSQL, or in Redis where there is none. Everything rejects with ConnectionError when
 * the server cannot be reached.
 */
export interface SubscriptionRegistry {
  /**
   * Registers a subscription, or changes what it asks for. Where it starts is decided when its name is registered first. Rejects with
   * OptionError where this registry cannot start there, or has MOST_SUBSCRIPTIONS.
   */
  register(subscription: Subscription): Promise<Registration>
  /** Ends a subscription: events from now on do not reach it; jobs that it has stay. False: there was none. */
  unregister(name: string): Promise<boolean>
  list(): Promise<RegisteredSet>
}
