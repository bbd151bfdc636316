import type { EngineQuery, IndexSettings, RangeFilter } from '../../search-engine.ts'
import { firstFieldMarkOf, isKept, isMarked, listKeyOf, markOf, titleOf } from './stored-document.ts'

/** A word of a query, and what it may stand for. */
export interface QueryWord {
  readonly word: string
  /** It may go on: somebody is still typing. */
  readonly isBeginning: boolean
  /** Words that it may be a misspelling of. */
  readonly alternatives: readonly string[]
}

/** The tables of a generation: of the documents, and of what they are found by. */
export interface GenerationTables {
  readonly documents: string
  readonly texts: string
}

/** What must be known of a generation before a query is made into statements. */
export interface Asked {
  readonly words: readonly QueryWord[]
  /** Of the fields that are filtered by a value, those in which some document has a list. */
  readonly withLists: ReadonlySet<string>
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

/** Whether so many documents may match that it is better to look among those first that do in their first field. */
export function hasShortBeginning(words: readonly QueryWord[]): boolean {
  return words.some(({ word, isBeginning }) => isBeginning && word.length < SHORTEST_BEGINNING)
}

/**
 * The documents of a page, best first: (id, fields, found). `found`: how many match; above MOST_RANKED only that there are more. Those whose
 * first field is the query are looked up by themselves: among thousands they might not be looked at.
 */
export function hitsStatement(
  tables: GenerationTables,
  settings: IndexSettings,
  query: EngineQuery,
  asked: Asked,
  within: 'all' | 'first field',
): Statement {
  const { words } = asked
  const values = new Values()
  const condition = conditionOf(values, settings, query, asked, within)
  const page = `limit ${values.add(query.limit, 'bigint')} offset ${values.add(query.offset, 'bigint')}`
  if (query.sort.length > 0 || words.length === 0) {
    const order = query.sort.map(({ field, direction }) => `${keyOf(field)} ${direction}`)
    const last = query.sort.at(-1)?.direction ?? 'asc'
    const from = fromOf(tables, { ...condition, needsDocuments: true })
    const text = `select d.id, d.fields, 0 as found from ${from} where ${condition.text} order by ${[...order, `d.id ${last}`].join(', ')} ${page}`
    return { text, values: values.list }
  }
  const exact = exactWordsOf(values, settings, words)
  const title = values.add(titleOf(query.q), 'text')
  const from = fromOf(tables, condition)
  const text = `
with matching as materialized (
  (select t.id, t.title, t.words from ${from} where t.title = ${title} and ${condition.text} limit ${MOST_RANKED + 1})
  union all
  (select t.id, t.title, t.words from ${from} where t.title <> ${title} and ${condition.text} limit ${MOST_RANKED + 1})
), page as (
  select m.id, count(*) over () as found,
    row_number() over (order by m.title = ${title} collate "C" desc, ts_rank(m.words, ${exact}, 1) + 0.5 * ts_rank(m.words, ${condition.matching}, 1) desc, m.id) as place
  from matching m
  order by place ${page}
)
select p.id, d.fields, p.found from page p join ${tables.documents} d using (id) order by p.place`
  return { text, values: values.list }
}

/** How many match, up to MOST_RANKED + 1. */
export function countStatement(
  tables: GenerationTables,
  settings: IndexSettings,
  query: EngineQuery,
  asked: Asked,
): Statement {
  const values = new Values()
  const condition = conditionOf(values, settings, query, asked, 'all')
  const from = fromOf(tables, condition)
  const text = `select count(*) as found from (select from ${from} where ${condition.text} limit ${MOST_RANKED + 1}) m`
  return { text, values: values.list }
}

/** (field, value as JSON, count) of the commonest values of each facet. */
export function facetsStatement(
  tables: GenerationTables,
  settings: IndexSettings,
  query: EngineQuery,
  asked: Asked,
  most: number,
): Statement {
  const values = new Values()
  const condition = conditionOf(values, settings, query, asked, 'all')
  const from = fromOf(tables, { ...condition, needsTexts: true })
  const perField = query.facets.map((field) => {
    const [name, key, list] = [
      values.add(field, 'text'),
      values.add(field, 'text'),
      values.add(listKeyOf(field), 'text'),
    ]
    return `(
  select ${name} as field, value, count(*) as count
  from matching m cross join lateral (
    select m.facets -> ${key} as value where m.facets ? ${key}
    union all select jsonb_array_elements(m.facets -> ${list}) where m.facets ? ${list}
  ) v
  group by value order by count desc, value limit ${most})`
  })
  const text = `with matching as materialized (select t.facets from ${from} where ${condition.text})\n${perField.join('\nunion all ')}`
  return { text, values: values.list }
}

/** Of each of these fields whether some document has a list in it: one row of f0, f1, ... */
export function listsStatement(tables: GenerationTables, fields: readonly string[]): string {
  const each = fields.map(
    (field, index) => `exists (select from ${tables.documents} d where d.keys ? '${listKeyOf(field)}') as f${index}`,
  )
  return `select ${each.join(', ')}`
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

interface Condition {
  readonly text: string
  /** The words that are looked for, as an expression of a tsquery. */
  readonly matching: string
  readonly needsDocuments: boolean
  readonly needsTexts: boolean
}

function fromOf(
  tables: GenerationTables,
  { needsDocuments, needsTexts }: Omit<Condition, 'text' | 'matching'>,
): string {
  if (needsDocuments && needsTexts) return `${tables.documents} d join ${tables.texts} t on t.id = d.id`
  return needsTexts ? `${tables.texts} t` : `${tables.documents} d`
}

function conditionOf(
  values: Values,
  settings: IndexSettings,
  { filter }: EngineQuery,
  { words, withLists }: Asked,
  within: 'all' | 'first field',
): Condition {
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
  const ofDocuments: string[] = []
  const ofBoth: string[] = []
  for (const [field, wanted] of Object.entries(filter)) {
    if (isRange(wanted)) {
      ofDocuments.push(...rangeOf(values, field, wanted))
      continue
    }
    const all = (Array.isArray(wanted) ? wanted : [wanted as FilterValue]).map(asStored)
    const hasLists = withLists.has(field)
    // By marks where words are looked for, too: one index knows both. Otherwise where documents are compared and sorted by it.
    const isByMark = (value: FilterValue) =>
      isMarked(field, value, settings) && (words.length > 0 || hasLists || !isKept(value))
    const byKey = all.filter((value) => !isByMark(value))
    // In a list a number is marked, too.
    const byMark = hasLists ? all : all.filter(isByMark)
    if (byKey.length === 0) marks.push(values.add(anyOf(field, byMark), 'tsquery'))
    else if (byMark.length === 0) ofDocuments.push(keyIsOneOf(values, field, byKey))
    else
      ofBoth.push(`(t.words @@ ${values.add(anyOf(field, byMark), 'tsquery')} or ${keyIsOneOf(values, field, byKey)})`)
  }
  const tree = [...perWord, ...marks].join(' && ')
  const ofTexts = tree === '' ? [] : [`t.words @@ (${tree})`]
  const conditions = [...ofTexts, ...ofDocuments, ...ofBoth]
  const needsTexts = ofTexts.length > 0 || ofBoth.length > 0
  return {
    text: conditions.length === 0 ? 'true' : conditions.join(' and '),
    matching: perWord.length === 0 ? `''::tsquery` : `(${perWord.join(' || ')})`,
    needsDocuments: ofDocuments.length > 0 || ofBoth.length > 0,
    needsTexts,
  }
}

/** What ranks before beginnings and misspellings: the words as they were typed, and their forms. */
function exactWordsOf(values: Values, { language }: IndexSettings, words: readonly QueryWord[]): string {
  const typed = values.add(words.map(({ word }) => lexemeOf(word, '')).join(' | '), 'tsquery')
  if (language === 'simple') return typed
  const text = words.map(({ word }) => word).join(' ')
  return `(${typed} || plainto_tsquery(${values.add(language, 'regconfig')}, ${values.add(text, 'text')}))`
}

type FilterValue = string | number | boolean | null

function anyOf(field: string, all: readonly FilterValue[]): string {
  // Nothing has one of no values: a mark that no document has.
  if (all.length === 0) return lexemeOf('\u0001', '')
  return all.map((value) => lexemeOf(markOf(field, value), '')).join(' | ')
}

/** A field that is one of these. */
function keyIsOneOf(values: Values, field: string, all: readonly FilterValue[]): string {
  return `${keyOf(field)} = any (${values.add(
    all.map((value) => JSON.stringify(value)),
    'jsonb[]',
  )})`
}

const COMPARISONS = { gt: '>', gte: '>=', lt: '<', lte: '<=' } as const
const LEAST_NUMBER = String(-Number.MAX_VALUE)
/** JSON orders null before texts, texts before numbers and those before true and false; only values of the same kind are meant. */
const KINDS = {
  string: [`>= '""'`, `< '${LEAST_NUMBER}'`],
  number: [`>= '${LEAST_NUMBER}'`, `< 'false'`],
} as const

function rangeOf(values: Values, field: string, range: RangeFilter): string[] {
  const key = keyOf(field)
  const bounds = Object.entries(range) as [keyof RangeFilter, string | number][]
  const kind = typeof bounds[0]?.[1] === 'number' ? 'number' : 'string'
  return [
    ...bounds.map(([name, bound]) => `${key} ${COMPARISONS[name]} ${values.add(boundOf(bound), 'jsonb')}`),
    ...KINDS[kind].map((bound) => `${key} ${bound}::jsonb`),
  ]
}

/** As JSON, without what no document has and jsonb does not take. */
function boundOf(bound: string | number): string {
  return JSON.stringify(asStored(bound))
}

function asStored(value: FilterValue): FilterValue {
  return typeof value === 'string' ? value.toWellFormed().replaceAll('\0', '') : value
}

export function isRange(wanted: unknown): wanted is RangeFilter {
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
