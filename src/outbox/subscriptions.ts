import { definitionText, readDefinition, type Subscription } from '../events/subscription.ts'
import type { RegisteredSet, Registration, SubscriptionRegistry } from '../events/subscription-registry.ts'
import type { Queryable } from '../postgres/connection.ts'
import { loadStatements } from './statements.ts'

interface RawSubscription {
  readonly version: number
  readonly name: string | null
  readonly since: number
  readonly definition: unknown
  readonly is_present: boolean
}

/** The registry in PostgreSQL: rows with versions, which relays go by (subscribers.ts). */
export class Subscriptions implements SubscriptionRegistry {
  readonly #database: Queryable
  readonly #sql: Readonly<Record<'list-subscriptions' | 'subscribe' | 'unsubscribe', string>>

  constructor(database: Queryable, schema: string) {
    this.#database = database
    this.#sql = loadStatements(['list-subscriptions', 'subscribe', 'unsubscribe'], schema)
  }

  async register(subscription: Subscription): Promise<Registration> {
    const { name, start } = subscription
    const request = `{"name":${JSON.stringify(name)},"start":"${start}","definition":${definitionText(subscription)}}`
    const [row] = await this.#database.query<{ answer: Registration }>(this.#sql.subscribe, [request])
    if (!row) throw new Error('subscribe() returned nothing')
    return row.answer
  }

  async unregister(name: string): Promise<boolean> {
    const [row] = await this.#database.query<{ was_there: boolean }>(this.#sql.unsubscribe, [name])
    return row?.was_there === true
  }

  async list(): Promise<RegisteredSet> {
    const rows = await this.#database.query<RawSubscription>(this.#sql['list-subscriptions'], [])
    const named = rows.filter((row) => row.name !== null) as (RawSubscription & { readonly name: string })[]
    return {
      version: rows[0]?.version ?? 0,
      subscriptions: named
        .filter(({ is_present }) => is_present)
        .map(({ name, since, definition }) => ({ ...readDefinition(name, definition), since })),
      ended: named.filter(({ is_present }) => !is_present).map(({ name }) => name),
    }
  }
}
