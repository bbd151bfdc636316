import { definitionText, readDefinition, type Subscription } from '../events/subscription.ts'
import {
  MOST_SUBSCRIPTIONS,
  type RegisteredSet,
  type Registration,
  type SubscriptionRegistry,
  tooManySubscriptions,
} from '../events/subscription-registry.ts'
import type { Queryable } from '../postgres/connection.ts'
import { asSchemaError } from '../postgres/missing-schema.ts'
import { loadStatements } from './statements.ts'

type Name = 'list-subscriptions' | 'subscribe' | 'unsubscribe'

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
  readonly #schema: string
  readonly #sql: Readonly<Record<Name, string>>

  constructor(database: Queryable, schema: string) {
    this.#database = database
    this.#schema = schema
    this.#sql = loadStatements(['list-subscriptions', 'subscribe', 'unsubscribe'], schema)
  }

  async register(subscription: Subscription): Promise<Registration> {
    const { name, start } = subscription
    const about = `"name":${JSON.stringify(name)},"start":"${start}","most":${MOST_SUBSCRIPTIONS}`
    const request = `{${about},"definition":${definitionText(subscription)}}`
    type Answer = { readonly status: Registration['status'] | 'full'; readonly version: number }
    const [row] = await this.#query<{ answer: Answer }>('subscribe', [request])
    if (!row) throw new Error('subscribe() returned nothing')
    const { status, version } = row.answer
    if (status === 'full') throw tooManySubscriptions(name)
    return { status, version }
  }

  async unregister(name: string): Promise<boolean> {
    const [row] = await this.#query<{ was_there: boolean }>('unsubscribe', [name])
    return row?.was_there === true
  }

  async list(): Promise<RegisteredSet> {
    const rows = await this.#query<RawSubscription>('list-subscriptions', [])
    const named = rows.filter((row) => row.name !== null) as (RawSubscription & { readonly name: string })[]
    return {
      version: rows[0]?.version ?? 0,
      subscriptions: named
        .filter(({ is_present }) => is_present)
        .map(({ name, since, definition }) => ({ ...readDefinition(name, definition), since })),
      ended: named.filter(({ is_present }) => !is_present).map(({ name }) => name),
    }
  }

  #query<Row>(name: Name, values: readonly unknown[]): Promise<Row[]> {
    return this.#database.query<Row>(this.#sql[name], values).catch((error: unknown) => {
      throw asSchemaError(error, this.#schema)
    })
  }
}
