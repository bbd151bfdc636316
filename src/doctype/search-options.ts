import { ConfigError } from '../errors.ts'
import { describeValue } from '../job/describe-value.ts'

/** A value of a field that is declared. */
export type FieldValue = string | number | boolean | null | readonly (string | number | boolean)[]

/** The columns of a row, as JSON carries them and as events do: numbers are numbers, times are texts. */
export type Row = Readonly<Record<string, unknown>>

/** What a search document holds: declared fields are of `FieldValue`, others are whatever JSON carries, and are handed out with it. */
export type SearchFields = Readonly<Record<string, unknown>>

/** What a projection may read besides the rows that it is given. */
export interface ProjectionContext {
  /** Runs one statement in the database of the table: for rows that belong to those that are projected. Ask once for all of them. */
  readonly query: <R = Row>(text: string, values?: readonly unknown[]) => Promise<R[]>
}

/**
 * Makes search documents of rows: as many as there are rows, in their order; null for a row that is not to be found. It is called again and
 * again with the same rows, and must depend on nothing but the database.
 */
export type Project = (
  rows: readonly Row[],
  context: ProjectionContext,
) => readonly (SearchFields | null)[] | Promise<readonly (SearchFields | null)[]>

/** Another doctype that is part of the documents: when one of its documents changes, those that embed it are indexed again. */
export interface EmbeddedDoctype {
  /** Name of the doctype. Its changes must be captured. */
  readonly doctype: string
  /** The column of this table that holds the other's key. */
  readonly column?: string
  /**
   * Where one column does not say it: a SELECT of one column, the keys (as texts) of this table's rows that embed documents whose keys are
   * in `$1`, a text[]. E.g. `select city_id from city_tag where tag_id::text = any ($1)`. It is asked after the change: for rows that may be
   * deleted, or given to another document, make the key of this table a part of theirs, and find it in `$1` alone. Of a key of several columns
   * it gives the first one.
   */
  readonly find?: string
}

export interface SearchOptions {
  /** Fields whose words are found, the weightiest first. */
  readonly searchable: readonly string[]
  /** Fields that a query may filter by. Default: none. */
  readonly filterable?: readonly string[]
  /** Fields that a query may sort by. Default: none. */
  readonly sortable?: readonly string[]
  /** Fields whose values a query may count; they can be filtered by too. Default: none. */
  readonly facets?: readonly string[]
  /** Language of the texts, as PostgreSQL names it, e.g. `english`: words are found in all their forms. Default `simple`: as they are written. */
  readonly language?: string
  /** A column: rows in which it holds anything but null and false are not to be found. Default: none. */
  readonly softDelete?: string
  /** Default: none. */
  readonly embeds?: readonly EmbeddedDoctype[]
  /** Default: the columns that the lists above name. */
  readonly project?: Project
}

/** How the documents of a doctype are searched for, complete. */
export interface SearchDefinition {
  readonly searchable: readonly string[]
  readonly filterable: readonly string[]
  readonly sortable: readonly string[]
  readonly facets: readonly string[]
  readonly language: string
  readonly softDelete: string | undefined
  readonly embeds: readonly EmbeddedDoctype[]
  /** Undefined: the columns of the declared fields. */
  readonly project: Project | undefined
}

const FIELD = /^[A-Za-z_][A-Za-z0-9_]{0,62}$/
const LANGUAGE = /^[a-z_]{1,63}$/
const NAMES: readonly string[] = [
  'searchable',
  'filterable',
  'sortable',
  'facets',
  'language',
  'softDelete',
  'embeds',
  'project',
] satisfies (keyof SearchOptions)[]

/** Reads the `search` of a doctype. Throws ConfigError. */
export function readSearchOptions(options: SearchOptions, doctype: string): SearchDefinition {
  const refuse = (option: string, expected: string, found: unknown): never => {
    throw new ConfigError(
      `${option === '' ? 'search' : `search.${option}`} of doctype ${doctype} must be ${expected}; found ${describeValue(found)}`,
      { option: option === '' ? 'search' : `search.${option}`, found, expected },
    )
  }
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    return refuse('', `an object { ${NAMES.join(', ')} }`, options)
  }
  const strange = Object.keys(options).find((option) => !NAMES.includes(option))
  if (strange !== undefined) {
    throw new ConfigError(`search of doctype ${doctype} has no option ${strange}. Known are ${NAMES.join(', ')}.`, {
      option: `search.${strange}`,
    })
  }
  const { searchable, filterable = [], sortable = [], facets = [], embeds = [] } = options
  const { language = 'simple', softDelete, project } = options
  if (!isFieldList(searchable) || searchable.length === 0)
    refuse('searchable', 'a list of one or more different fields', searchable)
  for (const [name, list] of Object.entries({ filterable, sortable, facets })) {
    if (!isFieldList(list)) refuse(name, 'a list of different fields', list)
  }
  if (typeof language !== 'string' || !LANGUAGE.test(language))
    refuse('language', "the name of a text search configuration of PostgreSQL, e.g. 'english'", language)
  if (softDelete !== undefined && (typeof softDelete !== 'string' || softDelete === ''))
    refuse('softDelete', 'a column', softDelete)
  if (project !== undefined && typeof project !== 'function') refuse('project', 'a function (rows, context)', project)
  if (!Array.isArray(embeds) || !embeds.every(isEmbedded))
    refuse('embeds', 'a list of { doctype, column } or { doctype, find }', embeds)
  if (new Set(embeds.map((embed) => embed.doctype)).size !== embeds.length)
    refuse('embeds', 'a list in which no doctype is twice', embeds)
  return Object.freeze({
    searchable: Object.freeze([...searchable]),
    filterable: Object.freeze([...filterable]),
    sortable: Object.freeze([...sortable]),
    facets: Object.freeze([...facets]),
    language,
    softDelete,
    embeds: Object.freeze(embeds.map((embed) => Object.freeze({ ...embed }))),
    project,
  })
}

function isFieldList(value: unknown): value is readonly string[] {
  return (
    Array.isArray(value) &&
    value.every((field) => typeof field === 'string' && FIELD.test(field)) &&
    new Set(value).size === value.length
  )
}

function isEmbedded(value: unknown): value is EmbeddedDoctype {
  if (typeof value !== 'object' || value === null) return false
  const { doctype, column, find, ...rest } = value as Record<string, unknown>
  const isText = (each: unknown) => typeof each === 'string' && each !== ''
  return isText(doctype) && isText(column) !== isText(find) && Object.keys(rest).length === 0
}
