import assert from 'node:assert/strict'
import { after, before, type TestContext } from 'node:test'
import { defineSubscription, type SubscriptionOptions } from '../../src/events/subscription.ts'
import { createMoca } from '../../src/moca.ts'
import { Project } from './command-line.ts'
import { type PostgresServer, startPostgres } from './postgres-server.ts'
import { type RedisServer, startRedis } from './redis-server.ts'

/** Servers for the tests of a file about commands of events, and a project of a user for each test. */
export function eventsProjects() {
  let redis: RedisServer
  let postgres: PostgresServer
  before(async () => {
    redis = await startRedis()
    postgres = await startPostgres()
  })
  after(async () => {
    await redis.stop()
    await postgres.stop()
  })
  let namespaces = 0
  return {
    get redis() {
      return redis
    },
    get postgres() {
      return postgres
    },
    open: (t: TestContext, options: { readonly hasLog?: boolean } = {}) =>
      openProject(t, `events${++namespaces}`, redis, postgres, options),
  }
}

/** A project of its own, an application beside it, and (with `hasLog`) a database with Moca's schema. */
async function openProject(
  t: TestContext,
  namespace: string,
  redis: RedisServer,
  postgres: PostgresServer,
  { hasLog = false }: { readonly hasLog?: boolean },
) {
  const database = hasLog ? await postgres.createDatabase(t) : undefined
  const env = { REDIS_URL: redis.url, MOCA_NAMESPACE: namespace, ...(database && { DATABASE_URL: database.url }) }
  const project = await Project.make(env)
  t.after(() => project.remove())
  const moca = createMoca({
    namespace,
    redis: { url: redis.url },
    ...(database && { postgres: { url: database.url } }),
  })
  t.after(() => moca.close())
  if (database) assert.equal((await project.run(['migrate'])).code, 0)
  return {
    moca,
    project,
    run: (...args: string[]) => project.run(['events', ...args]),
    start: (...args: string[]) => project.start(['events', ...args]),
    subscribe: (name: string, options: Partial<SubscriptionOptions> = {}) =>
      moca.events.subscribe(defineSubscription({ name, topics: ['shop.orders'], ...options })),
    /** Records events; returns their envelopes. */
    record: async (...events: object[]) => {
      const items = events.map((event) => ({ topic: 'shop.orders', event_type: 'order.paid', ...event }))
      await database?.query('select moca.record($1)', [JSON.stringify(items)])
      type Row = { payload: string }
      const rows = await database?.query<Row>('select payload from moca.outbox order by seq desc limit $1', [
        items.length,
      ])
      return (rows ?? []).map(({ payload }) => payload).toReversed()
    },
    /** As a relay announces what was recorded. */
    announce: (topic: string, text: string) => redis.cli(['PUBLISH', `{moca:${namespace}}:events:${topic}`, text]),
    database,
  }
}
