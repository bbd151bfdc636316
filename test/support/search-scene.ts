import type { TestContext } from 'node:test'
import type { Clock } from '../../src/clock.ts'
import { defineDoctype, type Doctype, type DoctypeOptions } from '../../src/doctype/doctype.ts'
import { type Logger, silentLogger } from '../../src/logger.ts'
import { Capture } from '../../src/outbox/capture.ts'
import { IndexFeeds } from '../../src/outbox/index-feeds.ts'
import { Database } from '../../src/postgres/database.ts'
import { PostgresEngine } from '../../src/search/engines/postgres/postgres-engine.ts'
import type { SearchedDoctype } from '../../src/search/projection.ts'
import type { SearchEngine } from '../../src/search/search-engine.ts'
import { SearchIndex } from '../../src/search/search-index.ts'
import { SearchSync } from '../../src/search/search-sync.ts'
import { verifyIndex } from '../../src/search/verify-index.ts'
import type { OutboxScene } from './outbox-scene.ts'
import { waitFor } from './wait-for.ts'

export const CITY: DoctypeOptions = {
  name: 'City',
  table: 'city',
  key: 'id',
  search: {
    searchable: ['name'],
    filterable: ['country', 'population'],
    sortable: ['population'],
    facets: ['country'],
  },
}

export interface SearchSceneOptions {
  readonly doctype?: Doctype
  /** Around the engine in PostgreSQL, or in place of it. */
  readonly engine?: (real: SearchEngine) => SearchEngine
  readonly leaseMs?: number
  readonly projectionMs?: number
  readonly clock?: Clock
  readonly log?: Logger
  readonly owner?: string
  /** As whom to connect. Default: as the owner of everything. */
  readonly url?: string
}

/** A table `city` that is captured. */
export async function prepareCities(scene: OutboxScene, doctype: Doctype = defineDoctype(CITY)): Promise<void> {
  await scene.database.query(
    'create table city (id int primary key, name text, country text, population int, deleted_at timestamptz)',
  )
  await capture(scene, doctype)
}

export async function capture(scene: OutboxScene, doctype: Doctype): Promise<void> {
  const connection = await scene.connect()
  await new Capture(connection, 'moca').install(doctype)
  connection.destroy()
}

/** An index of this scene's cities, as one process sees it. */
export function openIndex(t: TestContext, scene: OutboxScene, options: SearchSceneOptions = {}): SearchIndex {
  const { doctype = defineDoctype(CITY), engine = (real) => real, leaseMs = 10_000, log = silentLogger } = options
  const database = new Database({ url: options.url ?? scene.database.url, name: 'moca:test' })
  t.after(() => database.close())
  const owner = options.owner ?? `test-${Math.random().toString(36).slice(2)}`
  return new SearchIndex({
    engine: engine(new PostgresEngine({ database, schema: 'moca' })),
    doctype: doctype as SearchedDoctype,
    database,
    schema: 'moca',
    feeds: new IndexFeeds({ database, schema: 'moca', owner, leaseMs }),
    owner,
    log,
    ...(options.clock && { clock: options.clock }),
    ...(options.projectionMs !== undefined && { projectionMs: options.projectionMs }),
    findUncaptured: async () => [],
  })
}

/** Search sync that runs until the test ends. */
export function startSync(t: TestContext, indexes: readonly SearchIndex[], log: Logger = silentLogger): SearchSync {
  const sync = new SearchSync({ indexes, log })
  sync.start()
  t.after(() => sync.stop())
  return sync
}

export function waitUntilLive(index: SearchIndex): Promise<unknown> {
  return waitFor(async () => (await index.engine.live(index.name)) !== undefined, { describe: 'the index to be built' })
}

/** Waits until the live index has nothing left to do, then compares all of it with the table. */
export async function differencesOf(index: SearchIndex): Promise<object> {
  const live = await index.engine.live(index.name)
  if (!live) throw new Error('there is no live generation')
  const catchUp = async () => {
    await waitFor(
      async () => {
        const [standing, dirty] = [await index.standing(live.generation), await index.dirty(live.generation).count()]
        return standing?.waiting === 0 && dirty.waiting === 0
      },
      { describe: 'the index to catch up', timeoutMs: 20_000 },
    )
  }
  await catchUp()
  const { missing, stale, orphaned, parked } = await verifyIndex(index, { generation: live.generation, catchUp })
  return { missing, stale, orphaned, parked }
}

export const SAME = { missing: [], stale: [], orphaned: [], parked: [] }

export async function idsOf(index: SearchIndex, q: string): Promise<string[]> {
  const query = { q, filter: {}, sort: [], facets: [], highlight: [], limit: 1_000, offset: 0 }
  return (await index.engine.query(index.name, query)).hits.map(({ id }) => id)
}
