import type { EngineQuery, IndexSettings, RangeFilter } from '../../search-engine.ts'
import { firstFieldMarkOf, listKeyOf, markOf, titleOf } from './stored-document.ts'

/** A word of a query, and what it may stand for. */
export interface QueryWord {
  readonly word: string
  /** It may go on: somebody is still typing. */
  readonly isBeginning: boolean
  /** Words that it may be a misspelling of. */
  readonly alternatives: readonly string[]
}

export interface Statement {
  readonly text: string
  readonly values: readonly unknown[]
}

/** Of so many matching documents at most are looked at to find the best ones. */
export const MOST_RANKED = 1_000
/** So short a beginning is one of the first field's words only: of all words, it would be half of the index. */
const SHORTEST_BEGINNING = 3

/** Parameters of a statement, in the order in which they were named. */
class Values {
  readonly list: unknown[] = []

  add(value: unknown, type: string): string {
    this.list.push(value)
    return `$${this.list.length}::${type}`
  }
}

/** The documents of a page, best first: (id, fields, found), `found`: how many match, up to MOST_RANKED + 1. */
export function hitsStatement(
  table: string,
  settings: IndexSettings,
  query: EngineQuery,
  words: readonly QueryWord[],
  within: 'all' | 'first field',
): Statement {
  const values = new Values()
  const { condition, matching } = conditionOf(values, settings, query, words, within)
  const page = `limit ${values.add(query.limit, 'bigint')} offset ${values.add(query.offset, 'bigint')}`
  if (query.sort.length > 0 || words.length === 0) {
    const order = query.sort.map(({ field, direction }) => `${keyOf(field)} ${direction}`)
    const last = query.sort.at(-1)?.direction ?? 'asc'
    const text = `select d.id, d.fields, 0 as found from ${table} d where ${condition} order by ${[...order, `d.id ${last}`].join(', ')} ${page}`
    return { text, values: values.list }
  }
  const exact = exactWordsOf(values, settings, words)
  const title = values.add(titleOf(query.q), 'text')
  const text = `
with matching as materialized (
  select d.id, d.title, d.words from ${table} d where ${condition} limit ${MOST_RANKED + 1}
), page as (
  select m.id, count(*) over () as found,
    row_number() over (order by m.title = ${title} collate "C" desc, ts_rank(m.words, ${exact}, 1) + 0.5 * ts_rank(m.words, ${matching}, 1) desc, m.id) as place
  from matching m
  order by place ${page}
)
select p.id, d.fields, p.found from page p join ${table} d using (id) order by p.place`
  return { text, values: values.list }
}

/** How many match, up to MOST_RANKED + 1. */
export function countStatement(
  table: string,
  settings: IndexSettings,
  query: EngineQuery,
  words: readonly QueryWord[],
): Statement {
  const values = new Values()
  const { condition } = conditionOf(values, settings, query, words, 'all')
  const text = `select count(*) as found from (select from ${table} d where ${condition} limit ${MOST_RANKED + 1}) d`
  return { text, values: values.list }
}

/** (field, value as JSON, count) of the commonest values of each facet. */
export function facetsStatement(
  table: string,
  settings: IndexSettings,
  query: EngineQuery,
  words: readonly QueryWord[],
  most: number,
): Statement {
  const values = new Values()
  const { condition } = conditionOf(values, settings, query, words, 'all')
  const perField = query.facets.map((field) => {
    const [name, key, list] = [
      values.add(field, 'text'),
      values.add(field, 'text'),
      values.add(listKeyOf(field), 'text'),
    ]
    return `(
  select ${name} as field, value, count(*) as count
  from matching m cross join lateral (
    select m.keys -> ${key} as value where m.keys ? ${key}
    union all select jsonb_array_elements(m.keys -> ${list}) where m.keys ? ${list}
  ) v
  group by value order by count desc, value limit ${most})`
  })
  const text = `with matching as materialized (select d.keys from ${table} d where ${condition})\n${perField.join('\nunion all ')}`
  return { text, values: values.list }
}

/** Which of these words match a word of the query in a basic form. */
export function formsStatement(
  language: string,
  candidates: readonly string[],
  words: readonly QueryWord[],
): Statement {
  const values = new Values()
  const asked = values.add(candidates, 'text[]')
  const config = values.add(language, 'regconfig')
  const all = words.flatMap(({ word, alternatives }) => [word, ...alternatives])
  const forms = all.map((word) => `plainto_tsquery(${config}, ${values.add(word, 'text')})`)
  const text = `select word from unnest(${asked}) word where to_tsvector(${config}, word) @@ (${forms.join(' || ')})`
  return { text, values: values.list }
}

function conditionOf(
  values: Values,
  settings: IndexSettings,
  { filter }: EngineQuery,
  words: readonly QueryWord[],
  within: 'all' | 'first field',
): { readonly condition: string; readonly matching: string } {
  const perWord = words.map(({ word, isBeginning, alternatives }) => {
    const written = [word, ...alternatives].map((each) =>
      lexemeOf(within === 'all' ? each : firstFieldMarkOf(each), ''),
    )
    if (isBeginning) {
      const isOfFirst = within === 'first field' || word.length < SHORTEST_BEGINNING
      written.push(lexemeOf(isOfFirst ? firstFieldMarkOf(word) : word, '*'))
    }
    const forms = [values.add(written.join(' | '), 'tsquery')]
    // Of the first field only what is written there counts.
    if (settings.language !== 'simple' && within === 'all') {
      for (const each of [word, ...alternatives]) {
        forms.push(`plainto_tsquery(${values.add(settings.language, 'regconfig')}, ${values.add(each, 'text')})`)
      }
    }
    return `(${forms.join(' || ')})`
  })
  const marks: string[] = []
  const ranges: string[] = []
  for (const [field, wanted] of Object.entries(filter)) {
    if (isRange(wanted)) ranges.push(...rangeOf(values, field, wanted))
    else marks.push(values.add(anyOf(field, wanted), 'tsquery'))
  }
  const tree = [...perWord, ...marks].join(' && ')
  const conditions = [...(tree === '' ? [] : [`d.words @@ (${tree})`]), ...ranges]
  return {
    condition: conditions.length === 0 ? 'true' : conditions.join(' and '),
    matching: perWord.length === 0 ? `''::tsquery` : `(${perWord.join(' || ')})`,
  }
}

/** What ranks before beginnings and misspellings: the words as they were typed, and their forms. */
function exactWordsOf(values: Values, { language }: IndexSettings, words: readonly QueryWord[]): string {
  const typed = values.add(words.map(({ word }) => lexemeOf(word, '')).join(' | '), 'tsquery')
  if (language === 'simple') return typed
  const text = words.map(({ word }) => word).join(' ')
  return `(${typed} || plainto_tsquery(${values.add(language, 'regconfig')}, ${values.add(text, 'text')}))`
}

function anyOf(field: string, wanted: Exclude<EngineQuery['filter'][string], RangeFilter>): string {
  const all = Array.isArray(wanted) ? wanted : [wanted]
  // Nothing has one of no values: a mark that no document has.
  if (all.length === 0) return lexemeOf('\u0001', '')
  return all.map((value) => lexemeOf(markOf(field, value), '')).join(' | ')
}

const COMPARISONS = { gt: '>', gte: '>=', lt: '<', lte: '<=' } as const

function rangeOf(values: Values, field: string, range: RangeFilter): string[] {
  const key = keyOf(field)
  const bounds = Object.entries(range) as [keyof RangeFilter, string | number][]
  const type = typeof bounds[0]?.[1] === 'number' ? 'number' : 'string'
  return [
    ...bounds.map(([name, bound]) => `${key} ${COMPARISONS[name]} ${values.add(boundOf(bound), 'jsonb')}`),
    // JSON orders all values; only those of the same kind are meant.
    `jsonb_typeof(${key}) = '${type}'`,
  ]
}

/** As JSON, without what no document has and jsonb does not take. */
function boundOf(bound: string | number): string {
  return JSON.stringify(typeof bound === 'string' ? bound.toWellFormed().replaceAll('\0', '') : bound)
}

function isRange(wanted: unknown): wanted is RangeFilter {
  return typeof wanted === 'object' && wanted !== null && !Array.isArray(wanted)
}

/** As the index of the field says it: by a literal, or it would not be used. Fields are names without quotes. */
function keyOf(field: string): string {
  return `coalesce(d.keys -> '${field}', 'null'::jsonb)`
}

/** A lexeme in the language of tsquery. */
function lexemeOf(lexeme: string, flags: string): string {
  return `'${lexeme.replaceAll('\\', '\\\\').replaceAll("'", "''")}'${flags === '' ? '' : `:${flags}`}`
}
