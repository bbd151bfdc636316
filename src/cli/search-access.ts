import type { MocaConfig } from '../config/config.ts'
import { silentLogger } from '../logger.ts'
import { requireSchema } from '../outbox/migrations.ts'
import type { Database } from '../postgres/database.ts'
import { searchIndexesOf } from '../search-indexes.ts'
import type { SearchIndex } from '../search/search-index.ts'
import { NotFoundError } from './cli-error.ts'
import type { Context } from './context.ts'

/** Connects to PostgreSQL, looks at the schema, and gives access to the search indexes of the configuration. */
export async function withIndexes<T>(
  context: Context,
  command: string,
  use: (
    indexes: readonly SearchIndex[],
    access: { readonly config: MocaConfig; readonly database: Database },
  ) => Promise<T>,
): Promise<T> {
  const config = await context.config()
  const { namespace, postgres } = config
  return context.withDatabase(command, async (database) => {
    await requireSchema(database, { schema: postgres.schema, namespace })
    return use(searchIndexesOf(config, database, silentLogger), { config, database })
  })
}

/** The index that was named, or all of them. */
export function pickIndexes(indexes: readonly SearchIndex[], name: string | undefined): readonly SearchIndex[] {
  if (name === undefined) return indexes
  const found = indexes.filter((index) => index.name === name)
  if (found.length > 0) return found
  const known =
    indexes.length === 0
      ? 'no doctype of the apps has search'
      : `known are ${indexes.map((index) => index.name).join(', ')}`
  throw new NotFoundError(`There is no search index ${name}; ${known}.`, 'An index is named as its doctype is.')
}
