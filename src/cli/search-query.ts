import type { FieldValue } from '../doctype/search-options.ts'
import type { RangeFilter, SearchFilter, SearchResult, TextPiece } from '../search/search-engine.ts'
import { checkQuery } from '../search/search.ts'
import { UsageError } from './cli-error.ts'
import type { Context } from './context.ts'
import { EXIT, type ExitCode } from './exit-codes.ts'
import { parseWhole } from './flag-values.ts'
import { formatCount } from './format.ts'
import type { Output } from './output.ts'
import { pickIndexes, withIndexes } from './search-access.ts'
import type { SearchIndex } from '../search/search-index.ts'

export interface SearchQueryOptions {
  readonly index?: string
  readonly filter?: readonly string[]
  readonly sort?: readonly string[]
  readonly facet?: readonly string[]
  readonly limit?: string
  readonly offset?: string
}

interface IndexResult extends SearchResult {
  readonly index: string
  readonly ms: number
}

/** Finds documents, in one index or in all. */
export async function querySearch(context: Context, q: string, options: SearchQueryOptions): Promise<ExitCode> {
  const { filter = [], sort = [], facet = [] } = options
  const limit = parseWhole('--limit', options.limit, 0, 1_000) ?? 10
  const offset = parseWhole('--offset', options.offset, 0, 10_000) ?? 0
  const { output } = context
  return withIndexes(context, 'moca search query', async (all) => {
    const indexes = pickIndexes(all, options.index)
    const needsOne = indexes.length > 1 && (filter.length > 0 || sort.length > 0 || facet.length > 0)
    if (needsOne) throw new UsageError('--filter, --sort and --facet are of one index.', 'Name it: --index City.')
    const results: IndexResult[] = []
    for (const index of indexes) {
      const { search } = index.doctype
      const query = checkQuery(
        { q, filter: readFilters(filter), sort, facets: facet, highlight: search.searchable, limit, offset },
        search,
        index.name,
      )
      const beganAtMs = performance.now()
      const result = await index.engine.query(index.name, query)
      results.push({ index: index.name, ...result, ms: Math.round((performance.now() - beganAtMs) * 10) / 10 })
    }
    output.result({ q, results }, () =>
      results.map((result) => describe(output, result, indexOf(indexes, result))).join('\n\n'),
    )
    return EXIT.fine
  })
}

function indexOf(indexes: readonly SearchIndex[], { index }: IndexResult): SearchIndex {
  return indexes.find(({ name }) => name === index) as SearchIndex
}

const COMPARISON = /^(\w+)(>=|<=|>|<|=)(.*)$/s
const RANGES = { '>=': 'gte', '<=': 'lte', '>': 'gt', '<': 'lt' } as const

/** `country=FR`, `country=FR,DE`, `population>=1000`, each a condition. A value is read as JSON where it is some, else as a text. */
function readFilters(filters: readonly string[]): SearchFilter {
  const all: Record<string, FieldValue | RangeFilter> = {}
  for (const text of filters) {
    const [, field, comparison, value] = COMPARISON.exec(text) ?? []
    if (field === undefined || comparison === undefined || value === undefined) {
      throw new UsageError(
        `--filter ${JSON.stringify(text)} is no condition.`,
        "Write --filter country=FR, --filter country=FR,DE or --filter 'population>=1000'.",
      )
    }
    if (comparison === '=') {
      const values = value.split(',').map(readValue)
      all[field] = values.length === 1 ? (values[0] as FieldValue) : (values as (string | number)[])
    } else {
      const bound = { [RANGES[comparison as keyof typeof RANGES]]: readValue(value) }
      all[field] = { ...(all[field] as RangeFilter | undefined), ...bound }
    }
  }
  return all
}

function readValue(text: string): string | number | boolean | null {
  if (/^-?\d+(\.\d+)?$/.test(text)) return Number(text)
  if (text === 'true' || text === 'false') return text === 'true'
  if (text === 'null') return null
  // A text that looks like something else: "12".
  return /^".*"$/s.test(text) ? text.slice(1, -1) : text
}

function describe(output: Output, result: IndexResult, { doctype }: SearchIndex): string {
  const { index, hits, total, isTotalExact, ms, facets } = result
  const count = `${isTotalExact ? '' : 'more than '}${formatCount(total)}`
  const lines = [output.style('dim', `${index}: ${count} found in ${ms} ms`)]
  const { searchable, sortable, filterable } = doctype.search
  const shown = [...new Set([...searchable, ...filterable, ...sortable])].slice(0, 6)
  const rows = hits.map(({ id, fields, highlights }) => [
    id,
    ...shown.map((field) => {
      const pieces = highlights[field]
      return pieces ? paint(output, pieces) : cut(fields[field])
    }),
  ])
  if (rows.length > 0)
    lines.push(output.table(['ID', ...shown.map((field) => field.toUpperCase())], rows, shown.length + 1))
  for (const [field, counts] of Object.entries(facets)) {
    lines.push(
      '',
      `${field}: ${counts.map(({ value, count: each }) => `${String(value)} ${formatCount(each)}`).join(', ')}`,
    )
  }
  return lines.join('\n')
}

function paint(output: Output, pieces: readonly TextPiece[]): string {
  return pieces
    .map(({ text, isMatch }) => (isMatch ? output.style('bold', text) : text))
    .join('')
    .slice(0, 200)
}

function cut(value: unknown): string {
  if (value === undefined || value === null) return '-'
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  return text.length > 60 ? `${text.slice(0, 59)}…` : text
}
