import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import type { MocaConfig } from './config/config.ts'
import type { Logger } from './logger.ts'
import { Capture } from './outbox/capture.ts'
import { IndexFeeds } from './outbox/index-feeds.ts'
import type { Database } from './postgres/database.ts'
import { PostgresEngine } from './search/engines/postgres/postgres-engine.ts'
import { isSearched } from './search/projection.ts'
import { SearchIndex } from './search/search-index.ts'
import { UnclaimedIndexes } from './search/unclaimed-indexes.ts'

/** The search indexes in this database that the configuration does not know. */
export function unclaimedIndexesOf(
  { apps, postgres, search }: Pick<MocaConfig, 'apps' | 'postgres' | 'search'>,
  database: Database,
): UnclaimedIndexes {
  const { schema } = postgres
  return new UnclaimedIndexes({
    engine: new PostgresEngine({ database, schema }),
    feeds: new IndexFeeds({
      database,
      schema,
      owner: 'nobody',
      leaseMs: search.leaseMs,
    }),
    database,
    schema,
    claimed: apps.flatMap(({ doctypes }) => doctypes.filter(isSearched).map(({ name }) => name)),
  })
}

/** The search indexes of a configuration, each ready to be looked at, kept, rebuilt and verified. */
export function searchIndexesOf(
  { apps, postgres, search, hooks }: Pick<MocaConfig, 'apps' | 'postgres' | 'search' | 'hooks'>,
  database: Database,
  log: Logger,
): SearchIndex[] {
  const { schema } = postgres
  const owner = `${hostname()}:${process.pid}:${randomBytes(3).toString('hex')}`
  const engine = new PostgresEngine({ database, schema })
  const feeds = new IndexFeeds({ database, schema, owner, leaseMs: search.leaseMs })
  const findUncaptured = async (doctypes: readonly string[]) => {
    const captured = new Set(await new Capture(database, schema).list())
    return doctypes.filter((name) => !captured.has(name))
  }
  return apps
    .flatMap(({ doctypes }) => doctypes)
    .filter(isSearched)
    .map(
      (doctype) =>
        new SearchIndex({ engine, doctype, database, schema, feeds, owner, log, hooks: hooks.index, findUncaptured }),
    )
}
