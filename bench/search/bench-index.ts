import { defineDoctype } from '../../src/doctype/doctype.ts'
import { silentLogger } from '../../src/logger.ts'
import { Capture } from '../../src/outbox/capture.ts'
import { IndexFeeds } from '../../src/outbox/index-feeds.ts'
import { migrate } from '../../src/outbox/migrations.ts'
import { Database } from '../../src/postgres/database.ts'
import { PostgresEngine } from '../../src/search/engines/postgres/postgres-engine.ts'
import type { SearchedDoctype } from '../../src/search/projection.ts'
import { SearchIndex } from '../../src/search/search-index.ts'

export const CITY = defineDoctype({
  name: 'City',
  table: 'city',
  key: 'id',
  search: {
    searchable: ['name', 'about'],
    filterable: ['country', 'population'],
    sortable: ['population'],
    facets: ['country'],
    project: (rows) =>
      rows.map(({ name, about, country, population, version }) => ({ name, about, country, population, version })),
  },
}) as SearchedDoctype

/** The database of a bench, with so many rows in a table that is captured. */
export async function prepareDatabase(databaseUrl: string, rows: number): Promise<void> {
  const database = new Database({ url: databaseUrl, name: 'moca:bench' })
  try {
    await migrate(database, { schema: 'moca', namespace: 'bench', maxBytes: 1_048_576 })
    // Its cities take 100 MB: not in the processes whose memory is measured.
    const { loadCorpus } = await import('./corpus.ts')
    await loadCorpus(databaseUrl, rows)
    const connection = await database.openConnection()
    await new Capture(connection, 'moca').install(CITY)
    connection.destroy()
  } finally {
    await database.close()
  }
}

/** The index as one process sees it. */
export function openBenchIndex(databaseUrl: string, owner: string): { index: SearchIndex; database: Database } {
  const database = new Database({ url: databaseUrl, name: `moca:bench:${owner}` })
  const feeds = new IndexFeeds({ database, schema: 'moca', owner, leaseMs: 10_000 })
  const engine = new PostgresEngine({ database, schema: 'moca' })
  const index = new SearchIndex({
    engine,
    doctype: CITY,
    database,
    schema: 'moca',
    feeds,
    owner,
    log: silentLogger,
    findUncaptured: async () => [],
  })
  return { index, database }
}
