import { SchemaError } from '../errors.ts'
import type { RedisSubscriptions } from './backends/redis/redis-subscriptions.ts'
import { definitionText } from './subscription.ts'
import type { RegisteredSet, RegisteredSubscription, SubscriptionRegistry } from './subscription-registry.ts'

/**
 * Keeps the copy of the subscriptions that those who emit go by equal to the rows in PostgreSQL. Any number of processes may do so: the
 * copy is looked at before the rows, and changed only if it still is what was seen, so that older rows never come after newer ones.
 */
export class SubscriptionMirror {
  readonly #from: Pick<SubscriptionRegistry, 'list'>
  readonly #to: Pick<RedisSubscriptions, 'list' | 'replace'>

  constructor(from: Pick<SubscriptionRegistry, 'list'>, to: Pick<RedisSubscriptions, 'list' | 'replace'>) {
    this.#from = from
    this.#to = to
  }

  /**
   * What those who emit go by. Where there is no copy, since Redis forgot it or nobody has made one, it is made first: an event must not
   * reach nobody. Rejects as `runOnce` does.
   */
  async list(): Promise<RegisteredSet> {
    const copy = await this.#to.list()
    if (copy.version > 0) return copy
    try {
      await this.runOnce()
    } catch (error) {
      // The application's own database, in which Moca has nothing: then nobody is registered.
      if (error instanceof SchemaError) return copy
      throw error
    }
    return this.#to.list()
  }

  /** Returns once the copy is equal. Rejects with ConnectionError when either server cannot be reached. */
  async runOnce(): Promise<'replaced' | 'unchanged'> {
    for (;;) {
      const seen = await this.#to.list()
      const { subscriptions } = await this.#from.list()
      if (seen.version > 0 && isSame(seen.subscriptions, subscriptions)) return 'unchanged'
      const answer = await this.#to.replace(seen, subscriptions)
      if (answer !== 'moved') return answer
    }
  }
}

function isSame(a: readonly RegisteredSubscription[], b: readonly RegisteredSubscription[]): boolean {
  return fingerprint(a) === fingerprint(b)
}

function fingerprint(subscriptions: readonly RegisteredSubscription[]): string {
  return subscriptions
    .map((subscription) => `${subscription.name} ${subscription.since} ${definitionText(subscription)}`)
    .toSorted()
    .join('\n')
}
