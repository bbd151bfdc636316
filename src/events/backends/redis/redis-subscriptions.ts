import { OptionError } from '../../../errors.ts'
import { definitionText, readDefinition, type Subscription } from '../../subscription.ts'
import {
  MOST_SUBSCRIPTIONS,
  type RegisteredSet,
  type RegisteredSubscription,
  type Registration,
  type SubscriptionRegistry,
  tooManySubscriptions,
} from '../../subscription-registry.ts'
import { type RedisAccess, subscriptionsKey } from './redis-access.ts'
import { loadScripts } from './scripts.ts'

/** Fields of the hash: of a subscription, of one that was taken out, and `version`. */
const FIELD = 's:'
const ENDED = 'x:'

/** The registry in Redis: the only one where there is no PostgreSQL, else a copy of its rows for those who emit. */
export class RedisSubscriptions implements SubscriptionRegistry {
  readonly #redis: RedisAccess

  constructor(redis: RedisAccess) {
    this.#redis = redis
  }

  async register(subscription: Subscription): Promise<Registration> {
    const { name, start } = subscription
    if (start !== 'now') {
      throw new OptionError(
        `Subscription ${name} cannot start with ${start}: without PostgreSQL there is no log of what was before. Configure postgres.url, or let it start now.`,
        { option: 'start', found: start },
      )
    }
    const args = [name, definitionText(subscription), String(MOST_SUBSCRIPTIONS)]
    const [status, version] = await this.#run<Registration['status'] | 'full'>('register', ...args)
    if (status === 'full') throw tooManySubscriptions(name)
    return { status, version }
  }

  async unregister(name: string): Promise<boolean> {
    const [word] = await this.#run('unregister', name)
    return word === 'removed'
  }

  async list(): Promise<RegisteredSet> {
    const flat = await this.#redis.send<string[]>(['HGETALL', subscriptionsKey(this.#redis.prefix)])
    let version = 0
    const subscriptions: RegisteredSubscription[] = []
    const ended: string[] = []
    for (let index = 0; index < flat.length; index += 2) {
      const [field = '', value = ''] = [flat[index], flat[index + 1]]
      if (field === 'version') version = Number(value)
      else if (field.startsWith(FIELD)) subscriptions.push(readSubscription(field.slice(FIELD.length), value))
      else if (field.startsWith(ENDED)) ended.push(field.slice(ENDED.length))
    }
    return { version, subscriptions: subscriptions.toSorted((a, b) => (a.name < b.name ? -1 : 1)), ended }
  }

  /** Makes the set what another registry says. `moved`: somebody has changed it since `seen` was listed. */
  async replace(
    seen: Pick<RegisteredSet, 'version'>,
    wanted: readonly RegisteredSubscription[],
  ): Promise<'replaced' | 'unchanged' | 'moved'> {
    const flat = wanted.flatMap((subscription) => [
      subscription.name,
      String(subscription.since),
      definitionText(subscription),
    ])
    const [word] = await this.#run<'replaced' | 'unchanged' | 'moved'>('replace', String(seen.version), ...flat)
    return word
  }

  async #run<Word>(name: 'register' | 'unregister' | 'replace', ...args: string[]): Promise<[Word, number]> {
    const [word, version] = await this.#redis.run<[Word, string]>(loadScripts()[name], [this.#redis.layout, ...args])
    return [word, Number(version)]
  }
}

function readSubscription(name: string, value: string): RegisteredSubscription {
  const space = value.indexOf(' ')
  return { ...readDefinition(name, JSON.parse(value.slice(space + 1))), since: Number(value.slice(0, space)) }
}
