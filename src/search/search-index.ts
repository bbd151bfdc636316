import type { Clock } from '../clock.ts'
import type { IndexHook } from '../doctype/index-hook.ts'
import type { ProjectionContext } from '../doctype/search-options.ts'
import { SqlError } from '../errors.ts'
import type { OwnedHook } from '../hook.ts'
import type { Logger } from '../logger.ts'
import type { Database } from '../postgres/database.ts'
import {
  type ChangeFeed,
  type FeedSource,
  type FeedStanding,
  generationOf,
  indexOf,
  positionOf,
} from './change-feed.ts'
import { DirtyDocuments } from './dirty-documents.ts'
import { IndexWriter, type WriterProgress } from './index-writer.ts'
import { type NamedRow, projectRows, type SearchedDoctype } from './projection.ts'
import { RebuildStore } from './rebuild-store.ts'
import { RowReader } from './row-reader.ts'
import { Standstills } from './standstills.ts'
import type { SearchDocument, SearchEngine } from './search-engine.ts'

export interface SearchIndexDeps {
  readonly engine: SearchEngine
  readonly doctype: SearchedDoctype
  readonly database: Pick<Database, 'query' | 'transaction'>
  readonly schema: string
  readonly feeds: FeedSource
  /** Unique to the process, and telling people which one it is. */
  readonly owner: string
  readonly log: Logger
  readonly clock?: Clock
  /** As of the writer. */
  readonly projectionMs?: number
  /** Around the indexing of documents. Default: none. */
  readonly hooks?: readonly OwnedHook<IndexHook>[]
  /** Those of these doctypes whose changes are not recorded. */
  readonly findUncaptured: (doctypes: readonly string[]) => Promise<readonly string[]>
}

const LOCK_NOT_AVAILABLE = '55P03'

/** One index and what belongs to it: the table that it follows, its generations, and what is known of it in PostgreSQL. */
export class SearchIndex {
  readonly name: string
  readonly doctype: SearchedDoctype
  readonly engine: SearchEngine
  readonly feeds: FeedSource
  readonly rows: RowReader
  readonly rebuilds: RebuildStore
  readonly standstills: Standstills
  readonly owner: string
  readonly log: Logger
  readonly clock: Clock | undefined
  readonly #projectionMs: number | undefined
  readonly #hooks: readonly OwnedHook<IndexHook>[]
  readonly #context: ProjectionContext
  readonly #findUncaptured: SearchIndexDeps['findUncaptured']
  readonly #database: Pick<Database, 'query' | 'transaction'>
  readonly #schema: string

  constructor(deps: SearchIndexDeps) {
    const { engine, doctype, database, schema, feeds, owner, log, clock, hooks = [] } = deps
    this.name = doctype.name
    this.doctype = doctype
    this.engine = engine
    this.feeds = feeds
    this.rows = new RowReader(database, doctype)
    this.rebuilds = new RebuildStore(database, schema)
    this.standstills = new Standstills(database, schema)
    this.owner = owner
    this.log = log
    this.clock = clock
    this.#projectionMs = deps.projectionMs
    this.#hooks = hooks
    this.#context = { query: (text, values) => database.query(text, values) }
    this.#findUncaptured = deps.findUncaptured
    this.#database = database
    this.#schema = schema
  }

  dirty(generation: string): DirtyDocuments {
    return new DirtyDocuments(this.#database, this.#schema, positionOf(this.name, generation))
  }

  /** Of its documents, and of those that they embed. */
  get followed(): readonly string[] {
    return [this.name, ...this.doctype.search.embeds.map(({ doctype }) => doctype)]
  }

  /** The documents of rows, hooks included. */
  project(rows: readonly NamedRow[]): Promise<SearchDocument[]> {
    return projectRows(this.doctype, rows, this.#context, this.#hooks)
  }

  /** Doctypes whose changes do not reach the index, because nothing records them. */
  findUncaptured(): Promise<readonly string[]> {
    return this.#findUncaptured(this.followed)
  }

  /** Undefined: somebody alive follows the log for this generation, or its position has not begun. */
  take(generation: string): Promise<ChangeFeed | undefined> {
    return this.feeds.take(positionOf(this.name, generation), this.followed)
  }

  /** How far a generation is behind the log. Undefined: it has not begun. */
  standing(generation: string): Promise<FeedStanding | undefined> {
    return this.feeds.standing(positionOf(this.name, generation), this.followed)
  }

  /** A writer of a generation whose position was taken. */
  async writer(
    generation: string,
    feed: ChangeFeed,
    onProgress?: (progress: WriterProgress) => void,
  ): Promise<IndexWriter> {
    const writer = new IndexWriter({
      engine: this.engine,
      target: { index: this.name, generation },
      doctype: this.doctype,
      feed,
      leaseMs: this.feeds.leaseMs,
      rows: this.rows,
      dirty: this.dirty(generation),
      project: (rows) => this.project(rows),
      log: this.log,
      ...(this.clock && { clock: this.clock }),
      ...(this.#projectionMs !== undefined && { projectionMs: this.#projectionMs }),
      ...(onProgress && { onProgress }),
    })
    await writer.prepare()
    return writer
  }

  /** Nothing of a generation is left, neither in the engine nor in the log. Not to be called for the live one. */
  async discard(generation: string): Promise<void> {
    await this.feeds.forget(positionOf(this.name, generation))
    await this.dirty(generation).forget()
    await this.engine.drop({ index: this.name, generation })
  }

  /** As `discard`. What somebody reads for long, as a dump does, is left to whoever discards leftovers next. */
  async discardIfUnread(generation: string): Promise<void> {
    try {
      await this.discard(generation)
    } catch (error) {
      if (!(error instanceof SqlError) || error.sqlState !== LOCK_NOT_AVAILABLE) throw error
      this.log.warn(
        { index: this.name, generation },
        'An old generation of the search index is read by somebody else, and stays until the next process keeps or rebuilds the index',
      )
    }
  }

  /** Discards generations that are neither live nor being built: what a rebuild that was killed left behind. */
  async discardLeftovers(): Promise<void> {
    // In this order: a generation, and its position, is made after its rebuild was noted, and is live before that note goes.
    const positions = (await this.feeds.list()).filter((position) => indexOf(position) === this.name)
    const generations = new Set([
      ...(await this.engine.listGenerations(this.name)),
      // It may have been given up before it was made: the log is kept for it all the same.
      ...positions.map(generationOf),
    ])
    const rebuild = await this.rebuilds.find(this.name)
    const live = await this.engine.live(this.name)
    for (const generation of generations) {
      if (generation !== live?.generation && generation !== rebuild?.generation) await this.discardIfUnread(generation)
    }
  }
}
