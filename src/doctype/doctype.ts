import { ConfigError } from '../errors.ts'
import { describeValue } from '../job/describe-value.ts'
import { readSearchOptions, type SearchDefinition, type SearchOptions } from './search-options.ts'

/** What an application says of a kind of document: a table whose rows are the documents. */
export interface DoctypeOptions {
  /** Name of the kind, e.g. `City`: 1 to 50 of A-Z a-z 0-9 _ -, beginning with a letter. Events say it. */
  readonly name: string
  /** `city`, or `geo.city` in a schema other than `public`, or `['geo', 'city']` where a name has a dot. Taken as written, capitals included. */
  readonly table: string | readonly [schema: string, table: string]
  /** The column, or columns, that tell a document from all others. Not null, and unique. */
  readonly key: string | readonly string[]
  /** The column that says whose document it is. Default: what the transaction says (setting `moca.site`). */
  readonly site?: string
  /** Columns that events leave out: large ones, and secrets. A change of nothing else is no event. Default: none. */
  readonly omit?: readonly string[]
  /** How its documents are searched for. Default: they are not. */
  readonly search?: SearchOptions
}

/** A kind of document, complete. Made by `defineDoctype`. */
export interface Doctype {
  readonly name: string
  readonly schema: string
  readonly table: string
  readonly key: readonly string[]
  readonly site: string | undefined
  readonly omit: readonly string[]
  /** Undefined: its documents are not searched for. */
  readonly search: SearchDefinition | undefined
}

const NAME = /^[A-Za-z][A-Za-z0-9_-]{0,49}$/
const NAMES: readonly string[] = ['name', 'table', 'key', 'site', 'omit', 'search'] satisfies (keyof DoctypeOptions)[]
/** PostgreSQL cuts longer ones. */
const LONGEST_IDENTIFIER_BYTES = 63

/**
 * Defines a kind of document. Whether the table fits is seen when its capture is installed. Throws ConfigError.
 * @example const City = defineDoctype({ name: 'City', table: 'city', key: 'id', search: { searchable: ['name'] } })
 */
export function defineDoctype(options: DoctypeOptions): Doctype {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new ConfigError(`defineDoctype takes an object { ${NAMES.join(', ')} }; found ${describeValue(options)}`)
  }
  const { name, table, key, site, omit = [], search } = options
  if (typeof name !== 'string' || !NAME.test(name)) {
    throw refusal('name', '1 to 50 of A-Z a-z 0-9 _ -, beginning with a letter', name, '')
  }
  const strange = Object.keys(options).find((option) => !NAMES.includes(option))
  if (strange !== undefined) {
    throw new ConfigError(`Doctype ${name} has no option ${strange}. Known are ${NAMES.join(', ')}.`, {
      option: strange,
    })
  }
  const [schema, tableName] = readTable(table, name)
  const keys = typeof key === 'string' ? [key] : key
  if (!isNameList(keys) || keys.length === 0) throw refusal('key', 'a column or a list of different columns', key, name)
  if (site !== undefined && !isIdentifier(site)) throw refusal('site', 'a column', site, name)
  if (!isNameList(omit)) throw refusal('omit', 'a list of different columns', omit, name)
  const needed = omit.find((column) => keys.includes(column) || column === site)
  if (needed !== undefined) throw refusal('omit', 'columns other than those of key and site', needed, name)
  const searched = search === undefined ? undefined : readSearchOptions(search, name)
  const unseen = searched && columnsOfSearch(searched).find((column) => omit.includes(column))
  if (unseen !== undefined) {
    throw refusal('omit', 'columns that search does not need: their changes are no events', unseen, name)
  }
  return Object.freeze({
    name,
    schema,
    table: tableName,
    key: Object.freeze([...keys]),
    site,
    omit: Object.freeze([...omit]),
    search: searched,
  })
}

/** Columns of which it is known that the index depends on them. */
function columnsOfSearch({ project, softDelete, embeds, ...fields }: SearchDefinition): string[] {
  const { searchable, filterable, sortable, facets } = fields
  const declared = project ? [] : [...searchable, ...filterable, ...sortable, ...facets]
  return [
    ...declared,
    ...(softDelete === undefined ? [] : [softDelete]),
    ...embeds.flatMap(({ column }) => column ?? []),
  ]
}

function readTable(table: DoctypeOptions['table'], name: string): readonly [schema: string, table: string] {
  const parts = typeof table === 'string' ? table.split('.') : table
  const isPair = Array.isArray(parts) && parts.every(isIdentifier)
  if (isPair && parts.length === 1) return ['public', parts[0] as string]
  if (isPair && parts.length === 2) return [parts[0] as string, parts[1] as string]
  throw refusal('table', "a table's name like 'city' or 'geo.city', or a pair ['geo', 'city']", table, name)
}

function isIdentifier(value: unknown): value is string {
  return (
    typeof value === 'string' &&
    value !== '' &&
    value.isWellFormed() &&
    !value.includes('\0') &&
    Buffer.byteLength(value) <= LONGEST_IDENTIFIER_BYTES
  )
}

function isNameList(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every(isIdentifier) && new Set(value).size === value.length
}

function refusal(option: string, expected: string, found: unknown, name: string): ConfigError {
  const whose = name === '' ? 'a doctype' : `doctype ${name}`
  return new ConfigError(`${option} of ${whose} must be ${expected}; found ${describeValue(found)}`, {
    option,
    found,
    expected,
  })
}
