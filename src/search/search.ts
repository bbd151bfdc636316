import type { Doctype } from '../doctype/doctype.ts'
import { OptionError } from '../errors.ts'
import { describeValue } from '../job/describe-value.ts'
import { isSearched } from './projection.ts'
import type {
  EngineQuery,
  IndexSettings,
  RangeFilter,
  SearchEngine,
  SearchFilter,
  SearchResult,
} from './search-engine.ts'

/** `population:desc`; without a direction `asc`. */
export type Sort = string

export interface SearchQuery {
  /** Words to find; the last one may be the beginning of one. Default: all documents. */
  readonly q?: string
  /** All must hold. Default: none. */
  readonly filter?: SearchFilter
  /** In place of the best match first. */
  readonly sort?: Sort | readonly Sort[]
  /** Fields whose values are counted. Default: none. */
  readonly facets?: readonly string[]
  /** Searchable fields whose matching words are marked. Default: none. */
  readonly highlight?: readonly string[]
  /** 0 to 1,000. Default 20. */
  readonly limit?: number
  /** 0 to 10,000. Default 0. */
  readonly offset?: number
}

const OPTIONS: readonly string[] = [
  'q',
  'filter',
  'sort',
  'facets',
  'highlight',
  'limit',
  'offset',
] satisfies (keyof SearchQuery)[]
const RANGE: readonly string[] = ['gt', 'gte', 'lt', 'lte'] satisfies (keyof RangeFilter)[]
const MOST_HITS = 1_000
const LARGEST_OFFSET = 10_000
const LONGEST_QUERY = 1_000
const MOST_VALUES = 1_000

/** Finds documents. */
export class Search {
  readonly #engine: SearchEngine | undefined

  constructor(engine: SearchEngine | undefined) {
    this.#engine = engine
  }

  /**
   * Finds documents of a doctype. Rejects with OptionError for what its definition does not allow, or where there is no index yet.
   * @example const { hits } = await moca.search.query(City, { q: 'pari', filter: { country: 'FR' }, sort: 'population:desc' })
   */
  async query(doctype: Doctype, query: SearchQuery = {}): Promise<SearchResult> {
    if (typeof doctype !== 'object' || doctype === null || !isSearched(doctype)) {
      throw new OptionError(`Doctype ${describeDoctype(doctype)} is not searched for: its definition has no search`, {
        option: 'doctype',
      })
    }
    if (!this.#engine) {
      throw new OptionError('Search needs PostgreSQL: set postgres.url, or DATABASE_URL', { option: 'postgres.url' })
    }
    return this.#engine.query(doctype.name, checkQuery(query, doctype.search, doctype.name))
  }
}

/**
 * What a definition declares since the index was built is not in it: a filter would find nothing. Engines ask this of the generation that
 * they query. Throws OptionError.
 */
export function requireBuilt(
  { filter, sort, facets }: EngineQuery,
  settings: Pick<IndexSettings, 'filterable' | 'sortable' | 'facets'>,
  index: string,
): void {
  const known = new Set([...settings.filterable, ...settings.facets])
  const missing =
    Object.keys(filter).find((field) => !known.has(field)) ??
    sort.find(({ field }) => !settings.sortable.includes(field))?.field ??
    facets.find((field) => !settings.facets.includes(field))
  if (missing === undefined) return
  throw new OptionError(
    `Field ${missing} was declared for that after the search index of ${index} was built: run moca search rebuild ${index}`,
    { option: missing, index },
  )
}

/** A query as engines take it. Throws OptionError. */
export function checkQuery(
  query: SearchQuery,
  settings: Pick<IndexSettings, 'searchable' | 'filterable' | 'sortable' | 'facets'>,
  index: string,
): EngineQuery {
  if (typeof query !== 'object' || query === null) throw refusal('query', 'an object', query)
  const strange = Object.keys(query).find((option) => !OPTIONS.includes(option))
  if (strange !== undefined) {
    throw new OptionError(`A search has no option ${strange}. Known are ${OPTIONS.join(', ')}.`, { option: strange })
  }
  const { q = '', filter = {}, sort = [], facets = [], highlight = [], limit = 20, offset = 0 } = query
  if (typeof q !== 'string' || q.length > LONGEST_QUERY)
    throw refusal('q', `a text of up to ${LONGEST_QUERY} characters`, q)
  requireWhole('limit', limit, MOST_HITS)
  requireWhole('offset', offset, LARGEST_OFFSET)
  const { searchable, filterable, sortable } = settings
  const requireFields = (option: string, fields: readonly string[], allowed: readonly string[]) => {
    if (!Array.isArray(fields)) throw refusal(option, 'a list of fields', fields)
    const unknown = fields.find((field) => !allowed.includes(field))
    if (unknown === undefined) return
    const known = allowed.length === 0 ? 'none are declared' : `declared are ${allowed.join(', ')}`
    throw new OptionError(`${option}: ${describeValue(unknown)} is no field of ${index} for that; ${known}`, {
      option,
      found: unknown,
      expected: allowed,
    })
  }
  if (typeof filter !== 'object' || filter === null || Array.isArray(filter))
    throw refusal('filter', 'an object { field: value }', filter)
  requireFields('filter', Object.keys(filter), [...new Set([...filterable, ...settings.facets])])
  for (const [field, wanted] of Object.entries(filter)) requireFilter(field, wanted, filterable)
  requireFields('facets', facets, settings.facets)
  requireFields('highlight', highlight, searchable)
  const sorts = readSorts(sort)
  requireFields(
    'sort',
    sorts.map(({ field }) => field),
    sortable,
  )
  const text = q.toWellFormed().replaceAll('\0', ' ')
  return { q: text, filter, sort: sorts, facets: [...new Set(facets)], highlight, limit, offset }
}

/** What a field is sorted by first, counts. */
function readSorts(sort: unknown): EngineQuery['sort'] {
  if (typeof sort !== 'string' && !Array.isArray(sort)) return [readSort(sort)]
  const sorts = (typeof sort === 'string' ? [sort] : sort).map(readSort)
  return sorts.filter(({ field }, place) => sorts.findIndex((each) => each.field === field) === place)
}

function readSort(sort: unknown): EngineQuery['sort'][number] {
  const [, field, direction = 'asc'] = /^(\w+)(?::(asc|desc))?$/.exec(typeof sort === 'string' ? sort : '') ?? []
  if (field === undefined) throw refusal('sort', "'field', 'field:asc' or 'field:desc'", sort)
  return { field, direction: direction as 'asc' | 'desc' }
}

function requireFilter(field: string, wanted: unknown, filterable: readonly string[]): void {
  if (isScalar(wanted) || (Array.isArray(wanted) && wanted.length <= MOST_VALUES && wanted.every(isScalar))) return
  const expected = `a value, a list of up to ${MOST_VALUES} values, or a range { gt, gte, lt, lte } of numbers or of texts; numbers must be finite`
  if (typeof wanted !== 'object' || wanted === null || Array.isArray(wanted))
    throw refusal(`filter.${field}`, expected, wanted)
  const bounds = Object.entries(wanted)
  const isRange =
    bounds.length > 0 &&
    bounds.every(([name]) => RANGE.includes(name)) &&
    (bounds.every(([, bound]) => Number.isFinite(bound)) || bounds.every(([, bound]) => typeof bound === 'string'))
  if (!isRange) throw refusal(`filter.${field}`, expected, wanted)
  if (!filterable.includes(field)) {
    throw new OptionError(`filter: a range of ${field} needs it to be filterable; it is a facet alone`, {
      option: `filter.${field}`,
    })
  }
}

function isScalar(value: unknown): boolean {
  return value === null || typeof value === 'string' || typeof value === 'boolean' || Number.isFinite(value)
}

function requireWhole(option: string, value: unknown, most: number): void {
  if (!Number.isInteger(value) || (value as number) < 0 || (value as number) > most)
    throw refusal(option, `a whole number from 0 to ${most}`, value)
}

function describeDoctype(doctype: unknown): string {
  const name = (doctype as { name?: unknown } | undefined)?.name
  return typeof name === 'string' ? name : describeValue(doctype)
}

function refusal(option: string, expected: string, found: unknown): OptionError {
  return new OptionError(`${option} must be ${expected}; found ${describeValue(found)}`, { option, found, expected })
}
