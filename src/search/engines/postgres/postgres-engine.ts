import { OptionError, SqlError } from '../../../errors.ts'
import { type Clock, systemClock } from '../../../clock.ts'
import type { Database } from '../../../postgres/database.ts'
import { quoteIdentifier } from '../../../postgres/identifier.ts'
import type { FieldValue } from '../../../doctype/search-options.ts'
import type {
  EngineQuery,
  FacetCount,
  IndexGeneration,
  IndexSettings,
  LiveGeneration,
  RevOf,
  RevPage,
  SearchDocument,
  SearchEngine,
  SearchHit,
  SearchResult,
  Submission,
  SwapOutcome,
  TextPiece,
  Ticket,
  TicketOutcome,
} from '../../search-engine.ts'
import { requireBuilt } from '../../search.ts'
import { allowedTypos, countTypos, wordsOf } from '../../search-words.ts'
import { highlight } from './highlight.ts'
import {
  countStatement,
  facetsStatement,
  formsStatement,
  type Asked,
  type GenerationTables,
  hasShortBeginning,
  hitsStatement,
  isRange,
  listsStatement,
  MOST_RANKED,
  type QueryWord,
  type Statement,
} from './query-statement.ts'
import {
  storeDocument,
  type StoredDocument,
  storeValues,
  type StoredValues,
  textOf,
  textRevOf,
} from './stored-document.ts'

export interface PostgresEngineDeps {
  readonly database: Pick<Database, 'query' | 'transaction'>
  /** Where Moca's tables are. */
  readonly schema: string
  readonly clock?: Clock
}

interface Generation extends LiveGeneration {
  readonly id: number
}

/** A query need not ask each time which generation is live. */
const LIVE_KNOWN_MS = 1_000
const MOST_WORDS = 10
const MOST_FACET_VALUES = 100
const MOST_SIMILAR = 50
const MOST_ALTERNATIVES = 8
/** So many words are remembered of a generation as known to it. */
const MOST_REMEMBERED = 100_000
const PATIENCE = { replyTimeoutMs: 60_000 }
const MOST_LOOKS = 3
const DROP_MS = 2_000
const UNDEFINED_TABLE = '42P01'
/** Made of a document by its values: another try makes the same. 22: data; 54: limits; 23: constraints. */
const OF_A_DOCUMENT = /^(22|54|23)/

/**
 * Search in PostgreSQL: full text with weights, misspelt words by trigrams, filters, sorting and facets
 * (docs/decisions/0056-the-search-engine-in-postgresql.md). What is submitted is settled at once.
 */
export class PostgresEngine implements SearchEngine {
  readonly name = 'postgres'
  readonly ordersBy = 'version'
  readonly #database: Pick<Database, 'query' | 'transaction'>
  readonly #schema: string
  readonly #clock: Clock
  readonly #live = new Map<string, { readonly generation: Generation; readonly untilMs: number }>()
  readonly #generations = new Map<string, Generation>()
  /** Words that a generation is known to have, by its id. */
  readonly #words = new Map<number, Set<string>>()

  constructor({ database, schema, clock = systemClock }: PostgresEngineDeps) {
    this.#database = database
    this.#schema = quoteIdentifier(schema)
    this.#clock = clock
  }

  async create({ index, generation }: IndexGeneration, settings: IndexSettings): Promise<void> {
    const text = `select ${this.#schema}.make_search_generation($1, $2, $3)`
    try {
      await this.#database.query(text, [index, generation, JSON.stringify(settings)], PATIENCE)
    } catch (error) {
      const isUnknownLanguage = error instanceof SqlError && error.sqlState === '42704'
      if (!isUnknownLanguage) throw error
      throw new OptionError(
        `PostgreSQL has no text search configuration ${settings.language} (search.language of ${index}): \\dF in psql lists those that it has`,
        { option: 'search.language', found: settings.language },
      )
    }
  }

  async live(index: string): Promise<LiveGeneration | undefined> {
    const found = await this.#findLive(index)
    return found && { generation: found.generation, settings: found.settings }
  }

  async listGenerations(index: string): Promise<readonly string[]> {
    const text = `select generation from ${this.#schema}.search_generation where index_name = $1 order by id`
    return (await this.#database.query<{ generation: string }>(text, [index])).map(({ generation }) => generation)
  }

  async swap(index: string, from: string | undefined, to: string): Promise<SwapOutcome> {
    const text = `select ${this.#schema}.swap_search_generation($1, $2, $3) as is_done`
    const [row] = await this.#database.query<{ is_done: boolean }>(text, [index, from ?? null, to])
    this.#live.delete(index)
    return row?.is_done ? 'swapped' : 'not-live'
  }

  async drop({ index, generation }: IndexGeneration): Promise<void> {
    await this.#database.transaction(async (transaction) => {
      // Whoever waits for a table lets others wait who come later. A dump may read one for hours.
      await transaction.run(`set local lock_timeout = ${DROP_MS}`)
      await transaction.query(`select ${this.#schema}.drop_search_generation($1, $2)`, [index, generation], PATIENCE)
    })
    this.#generations.delete(keyOf({ index, generation }))
  }

  async remove(index: string): Promise<void> {
    const text = `update ${this.#schema}.search_generation set is_live = false where index_name = $1 and is_live`
    await this.#database.query(text, [index])
    this.#live.delete(index)
    for (const generation of await this.listGenerations(index)) await this.drop({ index, generation })
  }

  async submit({ target, version, put, delete: deleted }: Submission): Promise<Ticket> {
    const generation = await this.#generation(target)
    for (let look = 1; ; look++) {
      // Somebody else submits all the time: without looking, all of it is written.
      const mustLook = put.length > 0 && look <= MOST_LOOKS
      const seen = mustLook ? await this.#look(generation, put) : undefined
      const { documents, updates } = sortOut(put, generation.settings, seen)
      const newWords = this.#newWords(generation.id, documents)
      const text = `select ${this.#schema}.submit_search_documents($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) as outcome`
      const values = [
        target.index,
        target.generation,
        version.epoch,
        version.submission,
        seen?.epoch,
        seen?.submission,
        JSON.stringify(documents),
        JSON.stringify(updates),
        deleted,
        [...newWords].toSorted(),
      ]
      let outcome: string | undefined
      try {
        const [row] = await this.#database.query<{ outcome: string }>(text, values, {
          ...PATIENCE,
          name: 'moca-submit-search-documents',
        })
        outcome = row?.outcome
      } catch (error) {
        const isOfDocument = error instanceof SqlError && OF_A_DOCUMENT.test(error.sqlState)
        if (!isOfDocument) throw error
        return ticketOf({ status: 'failed', reason: error.message, ids: [] })
      }
      if (outcome === 'unknown') throw unknownGeneration(target)
      if (outcome === 'moved') continue
      if (outcome === 'succeeded') this.#remember(generation.id, newWords)
      return ticketOf({ status: outcome as 'succeeded' | 'superseded' | 'overtaken' })
    }
  }

  async settle(tickets: readonly Ticket[]): Promise<readonly TicketOutcome[]> {
    return tickets.map((ticket) => JSON.parse(ticket) as TicketOutcome)
  }

  async readRevs(target: IndexGeneration, ids: readonly string[]): Promise<readonly RevOf[]> {
    const { id } = await this.#generation(target)
    return this.#database.query<RevOf>(`${readRevsOf(this.#tables(id))} where d.id = any ($1)`, [ids])
  }

  async readPage(target: IndexGeneration, after: string | undefined, limit: number): Promise<RevPage> {
    const { id } = await this.#generation(target)
    const behind = after === undefined ? '' : 'where d.id > $2'
    const text = `${readRevsOf(this.#tables(id))} ${behind} order by d.id limit $1`
    const documents = await this.#database.query<RevOf>(text, after === undefined ? [limit] : [limit, after])
    return { documents, next: documents.length < limit ? undefined : documents.at(-1)?.id }
  }

  async count(target: IndexGeneration): Promise<number> {
    const { id } = await this.#generation(target)
    const text = `select count(*) as count from ${this.#documents(id)}`
    const [row] = await this.#database.query<{ count: number }>(text, [], PATIENCE)
    return row?.count ?? 0
  }

  async query(index: string, query: EngineQuery): Promise<SearchResult> {
    try {
      return await this.#query(index, query)
    } catch (error) {
      // It was replaced, and dropped, since it was asked for.
      if (!isOfDropped(error)) throw error
      this.#live.delete(index)
      return this.#query(index, query)
    }
  }

  async close(): Promise<void> {
    this.#words.clear()
  }

  async #query(index: string, query: EngineQuery): Promise<SearchResult> {
    const generation = await this.#requireLive(index)
    requireBuilt(query, generation.settings, index)
    const [words, withLists] = await Promise.all([
      this.#readWords(generation, query.q),
      this.#findLists(generation, query),
    ])
    const asked: Asked = { words, withLists }
    const tables = this.#tables(generation.id)
    const { settings } = generation
    const isRanked = words.length > 0 && query.sort.length === 0
    const inFirstField = () => this.#hits(hitsStatement(tables, settings, query, asked, 'first field'))
    // So many begin with one or two letters that those that do in their first field are mostly enough.
    const openers = isRanked && hasShortBeginning(words) ? await inFirstField() : undefined
    const areEnough = (openers?.[0]?.found ?? 0) > MOST_RANKED
    const [found, counted, facets] = await Promise.all([
      openers && areEnough ? openers : this.#hits(hitsStatement(tables, settings, query, asked, 'all')),
      isRanked ? undefined : this.#count(countStatement(tables, settings, query, asked)),
      query.facets.length === 0
        ? []
        : this.#run<{ field: string; value: unknown; count: number }>(
            facetsStatement(tables, settings, query, asked, MOST_FACET_VALUES),
          ),
    ])
    const total = counted ?? (await this.#totalOf(found, generation, query, asked))
    const isTotalExact = total <= MOST_RANKED
    // Of so many matches some were never looked at: the best ones have the words in their first field.
    const best = isRanked && !isTotalExact ? (openers ?? (await inFirstField())) : found
    const rows = query.offset === 0 || best.length >= query.limit ? merge(best, found, query.limit) : found
    return {
      hits: await this.#highlighted(rows, generation, query, words),
      total: isTotalExact ? total : MOST_RANKED,
      isTotalExact,
      facets: groupFacets(query.facets, facets),
    }
  }

  /** What the words of a query may stand for. */
  async #readWords({ id }: Generation, q: string): Promise<readonly QueryWord[]> {
    const all = wordsOf(q)
    const typed = [...new Set(all)].slice(0, MOST_WORDS)
    if (typed.length === 0) return []
    const open = /[\p{L}\p{N}\p{M}]$/u.test(q) ? all.at(-1) : undefined
    const text = `select nth, is_known, is_beginning from ${this.#schema}.look_up_words($1, $2) order by nth`
    const known = await this.#database.query<{ is_known: boolean; is_beginning: boolean }>(text, [id, typed], {
      name: 'moca-look-up-words',
    })
    return Promise.all(
      typed.map(async (word, index) => {
        const { is_known: isKnown = true, is_beginning: isContinued = false } = known[index] ?? {}
        const isLast = word === open
        const isFound = isKnown || (isLast && isContinued)
        return { word, isBeginning: isLast, alternatives: isFound ? [] : await this.#findSimilar(id, word) }
      }),
    )
  }

  /** Of the fields that a query filters by a value, those in which some document has a list. */
  async #findLists({ id }: Generation, { filter }: EngineQuery): Promise<ReadonlySet<string>> {
    const fields = Object.keys(filter).filter((field) => !isRange(filter[field]))
    if (fields.length === 0) return new Set()
    const [row] = await this.#database.query<Record<string, boolean>>(listsStatement(this.#tables(id), fields))
    return new Set(fields.filter((_, index) => row?.[`f${index}`]))
  }

  async #findSimilar(id: number, word: string): Promise<string[]> {
    const most = allowedTypos(word)
    if (most === 0) return []
    const text = `select word from ${this.#schema}.find_similar_words($1, $2, $3) as word`
    const similar = await this.#database.query<{ word: string }>(text, [id, word, MOST_SIMILAR], {
      name: 'moca-find-similar-words',
    })
    return similar
      .map((each) => ({ word: each.word, typos: countTypos(word, each.word, most) }))
      .filter(({ typos }) => typos <= most)
      .toSorted((one, other) => one.typos - other.typos)
      .slice(0, MOST_ALTERNATIVES)
      .map((each) => each.word)
  }

  async #totalOf(
    found: readonly HitRow[],
    { id, settings }: Generation,
    query: EngineQuery,
    asked: Asked,
  ): Promise<number> {
    const [first] = found
    if (first) return first.found
    // A page behind the last one says nothing of those before.
    return query.offset === 0 ? 0 : this.#count(countStatement(this.#tables(id), settings, query, asked))
  }

  async #highlighted(
    rows: readonly HitRow[],
    { settings }: Generation,
    query: EngineQuery,
    words: readonly QueryWord[],
  ): Promise<SearchHit[]> {
    const texts = query.highlight.map((field) => ({
      field,
      read: (row: HitRow) => textOf(row.fields[field] as FieldValue),
    }))
    if (words.length === 0 || texts.length === 0) return rows.map(({ id, fields }) => ({ id, fields, highlights: {} }))
    const forms = await this.#findForms(
      settings,
      rows.flatMap((row) => texts.map(({ read }) => read(row))),
      words,
    )
    const isMatch = (word: string) =>
      forms.has(word) ||
      words.some(
        (each) =>
          word === each.word || (each.isBeginning && word.startsWith(each.word)) || each.alternatives.includes(word),
      )
    return rows.map((row) => {
      const highlights: Record<string, readonly TextPiece[]> = {}
      for (const { field, read } of texts) {
        const pieces = highlight(read(row), isMatch)
        if (pieces) highlights[field] = pieces
      }
      return { id: row.id, fields: row.fields, highlights }
    })
  }

  /** Words of the texts that are other forms of what was asked for. */
  async #findForms(
    { language }: IndexSettings,
    texts: readonly string[],
    words: readonly QueryWord[],
  ): Promise<ReadonlySet<string>> {
    if (language === 'simple') return new Set()
    const candidates = [...new Set(texts.flatMap(wordsOf))]
    const found = await this.#run<{ word: string }>(formsStatement(language, candidates, words))
    return new Set(found.map(({ word }) => word))
  }

  #hits(statement: Statement): Promise<HitRow[]> {
    return this.#run<HitRow>(statement)
  }

  async #count(statement: Statement): Promise<number> {
    const [row] = await this.#run<{ found: number }>(statement)
    return row?.found ?? 0
  }

  #run<Row>({ text, values }: Statement): Promise<Row[]> {
    return this.#database.query<Row>(text, values)
  }

  async #requireLive(index: string): Promise<Generation> {
    const known = this.#live.get(index)
    if (known && known.untilMs > this.#clock.monotonicMs()) return known.generation
    const generation = await this.#findLive(index)
    if (!generation) {
      throw new OptionError(
        `There is no index ${index} yet: moca search sync, or a relay, makes it when it starts; moca search rebuild ${index} does at once`,
        { option: 'index', found: index },
      )
    }
    this.#live.set(index, { generation, untilMs: this.#clock.monotonicMs() + LIVE_KNOWN_MS })
    return generation
  }

  async #findLive(index: string): Promise<Generation | undefined> {
    const text = `select id, generation, settings from ${this.#schema}.search_generation where index_name = $1 and is_live`
    const [row] = await this.#database.query<Generation>(text, [index], { name: 'moca-find-live-generation' })
    return row
  }

  async #generation(target: IndexGeneration): Promise<Generation> {
    const known = this.#generations.get(keyOf(target))
    if (known) return known
    const text = `select id, generation, settings from ${this.#schema}.search_generation where index_name = $1 and generation = $2`
    const [row] = await this.#database.query<Generation>(text, [target.index, target.generation])
    if (!row) throw unknownGeneration(target)
    this.#generations.set(keyOf(target), row)
    return row
  }

  #tables(id: number): GenerationTables {
    return { documents: this.#documents(id), texts: `${this.#schema}.search_text_${id}` }
  }

  #documents(id: number): string {
    return `${this.#schema}.search_document_${id}`
  }

  /** What there is of documents, and after which submission. Undefined: the generation is gone. */
  async #look({ id }: Generation, documents: readonly SearchDocument[]): Promise<Seen | undefined> {
    const text = `
select g.epoch, g.submission, r.id, r.rev, r."textRev"
from ${this.#schema}.search_generation g left join (${readRevsOf(this.#tables(id))}) r on r.id = any ($2) where g.id = $1`
    const ids = documents.map((document) => document.id)
    const rows = await this.#database.query<SeenRow>(text, [id, ids], PATIENCE).catch((error: unknown) => {
      if (isOfDropped(error)) return []
      throw error
    })
    const [first] = rows
    return (
      first && {
        epoch: first.epoch,
        submission: first.submission,
        byId: new Map(rows.flatMap((row) => (row.id === null ? [] : [[row.id, row]]))),
      }
    )
  }

  #newWords(id: number, documents: readonly StoredDocument[]): Set<string> {
    const known = this.#words.get(id)
    const found = new Set<string>()
    for (const { a, b, c, d } of documents) {
      for (const text of [a, b, c, d]) {
        for (const word of text === '' ? [] : text.split(' ')) if (!known?.has(word)) found.add(word)
      }
    }
    return found
  }

  /** Only what was committed: a word that is missing there would never be found by a misspelling. */
  #remember(id: number, words: ReadonlySet<string>): void {
    const known = this.#words.get(id) ?? new Set()
    if (known.size + words.size > MOST_REMEMBERED) known.clear()
    for (const word of words) known.add(word)
    this.#words.set(id, known)
  }
}

/** (id, rev, textRev) of documents. Where one has no text, or another's, its rev is none: it is written anew. */
function readRevsOf({ documents, texts }: GenerationTables): string {
  const isWhole = 't.text_rev is not distinct from d.text_rev'
  return `
select d.id, case when ${isWhole} then d.rev else '' end as rev, case when ${isWhole} then d.text_rev else '' end as "textRev"
from ${documents} d left join ${texts} t on t.id = d.id`
}

function isOfDropped(error: unknown): boolean {
  return error instanceof SqlError && error.sqlState === UNDEFINED_TABLE
}

interface SeenRow {
  readonly epoch: number
  readonly submission: number
  readonly id: string | null
  readonly rev: string
  readonly textRev: string
}

interface Seen {
  readonly epoch: number
  readonly submission: number
  readonly byId: ReadonlyMap<string, SeenRow>
}

/** What is written whole, and of what the texts are as they were. What did not change at all is not written. */
function sortOut(
  put: readonly SearchDocument[],
  settings: IndexSettings,
  seen: Seen | undefined,
): { readonly documents: StoredDocument[]; readonly updates: StoredValues[] } {
  const documents: StoredDocument[] = []
  const updates: StoredValues[] = []
  for (const document of put) {
    const present = seen?.byId.get(document.id)
    if (present?.rev === document.rev) continue
    const textRev = textRevOf(document, settings)
    if (present?.textRev === textRev) updates.push(storeValues(document, settings))
    else documents.push(storeDocument(document, textRev, settings))
  }
  return { documents, updates }
}

interface HitRow {
  readonly id: string
  readonly fields: SearchHit['fields']
  readonly found: number
}

/** The best ones, and then others, as many as make a page. */
function merge(best: readonly HitRow[], others: readonly HitRow[], limit: number): readonly HitRow[] {
  const ids = new Set(best.map(({ id }) => id))
  return [...best, ...others.filter(({ id }) => !ids.has(id))].slice(0, limit)
}

function groupFacets(
  fields: readonly string[],
  rows: readonly { readonly field: string; readonly value: unknown; readonly count: number }[],
): Record<string, FacetCount[]> {
  const groups = Object.fromEntries(fields.map((field): [string, FacetCount[]] => [field, []]))
  for (const { field, value, count } of rows) {
    groups[field]?.push({ value: value as FacetCount['value'], count })
  }
  return groups
}

function ticketOf(outcome: TicketOutcome): Ticket {
  return JSON.stringify(outcome)
}

function keyOf({ index, generation }: IndexGeneration): string {
  return `${index}/${generation}`
}

function unknownGeneration({ index, generation }: IndexGeneration): OptionError {
  return new OptionError(`There is no generation ${generation} of index ${index}`, {
    option: 'generation',
    found: generation,
  })
}
