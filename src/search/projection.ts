import { createHash } from 'node:crypto'
import type { Doctype } from '../doctype/doctype.ts'
import type { IndexCallFacts, IndexedDocument, IndexHook } from '../doctype/index-hook.ts'
import type { FieldValue, ProjectionContext, Row, SearchDefinition, SearchFields } from '../doctype/search-options.ts'
import { ConfigError } from '../errors.ts'
import { type OwnedHook, surroundList } from '../hook.ts'
import { describeValue } from '../job/describe-value.ts'
import type { IndexSettings, SearchDocument } from './search-engine.ts'

/** A row as it was read, under its document's name. */
export interface NamedRow {
  readonly docname: string
  readonly row: Row
}

/** A doctype that is searched for. */
export type SearchedDoctype = Doctype & { readonly search: SearchDefinition }

export function isSearched(doctype: Doctype): doctype is SearchedDoctype {
  return doctype.search !== undefined
}

export function settingsOf({ search }: SearchedDoctype): IndexSettings {
  const { searchable, filterable, sortable, facets, language } = search
  return { searchable, filterable, sortable, facets, language }
}

/** A definition that does not fit its table, or whose projection is none: no document's fault. */
export class DefinitionError extends ConfigError {}

/** Tells definitions apart, the code of the projection included: pages of two of them must not be mixed in one rebuild. */
export function hashDefinition(doctype: SearchedDoctype): string {
  const { schema, table, key, search } = doctype
  const text = JSON.stringify({ schema, table, key, ...search, project: search.project?.toString() })
  return createHash('sha256').update(text).digest('base64url').slice(0, 22)
}

/** Documents of rows: those that are to be put; the others of the given names are not to be found. Rejects as the projection does. */
export async function projectRows(
  { search, name }: SearchedDoctype,
  rows: readonly NamedRow[],
  context: ProjectionContext,
  hooks: readonly OwnedHook<IndexHook>[] = [],
): Promise<SearchDocument[]> {
  const kept = rows.filter(({ row }) => !isSoftDeleted(row, search.softDelete))
  if (kept.length === 0) return []
  const projected = await (search.project ?? columnsOf(search))(
    kept.map(({ row }) => row),
    context,
  )
  if (!Array.isArray(projected) || projected.length !== kept.length) {
    const found = Array.isArray(projected) ? `${projected.length}` : describeValue(projected)
    throw new DefinitionError(
      `search.project of doctype ${name} must return a list of ${kept.length}, one for each row; found ${found}`,
    )
  }
  const documents = kept.flatMap(({ docname }, index): IndexedDocument[] => {
    const fields = projected[index] as SearchFields | null | undefined
    return fields === null || fields === undefined ? [] : [{ id: docname, fields }]
  })
  const declared = new Set([...search.searchable, ...search.filterable, ...search.sortable, ...search.facets])
  return surroundList({
    kind: 'index',
    hooks,
    items: documents,
    tell: (items): IndexCallFacts => ({ doctype: name, documents: items }),
    core: async (items) => {
      const strange = items.findIndex(({ id }, index) => id !== documents[index]?.id)
      if (strange >= 0)
        throw new DefinitionError(
          `A hook of index must leave documents their ids and order; found ${describeValue(items[strange]?.id)} for ${documents[strange]?.id}`,
        )
      return items.map(({ id, fields }) => documentOf(id, fields, declared, name))
    },
  })
}

/** `_rev` is the hash of what is stored: the same fields, in whatever order, give the same one. */
function documentOf(id: string, fields: SearchFields, declared: ReadonlySet<string>, doctype: string): SearchDocument {
  if (typeof fields !== 'object' || Array.isArray(fields)) {
    throw new TypeError(
      `search.project of doctype ${doctype} must give an object of fields for ${id}; found ${describeValue(fields)}`,
    )
  }
  const clean: Record<string, unknown> = {}
  for (const field of Object.keys(fields).toSorted()) {
    const found = cleanValue(fields[field])
    if (found === undefined) continue
    const isDeclared = declared.has(field)
    const value = isDeclared && Array.isArray(found) ? found.filter((each) => each !== null) : found
    if (isDeclared && !isFieldValue(value)) {
      throw new TypeError(
        `Field ${field} of ${doctype} ${id} is declared, and must be a text, a number, true, false, null or a list of those; found ${describeValue(value)}`,
      )
    }
    clean[field] = value
  }
  const text = JSON.stringify(clean)
  const rev = createHash('sha256').update(text).digest('base64url').slice(0, 22)
  return { id, rev, fields: clean, size: text.length }
}

/** As JSON carries it, with what a database cannot hold left out. */
function cleanValue(value: unknown): unknown {
  if (typeof value === 'string') return value.toWellFormed().replaceAll('\0', '')
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : value.toString()
  if (typeof value === 'number') return Number.isFinite(value) ? value : null
  if (value instanceof Date) return value.toISOString()
  if (Array.isArray(value)) return value.map((each) => cleanValue(each) ?? null)
  if (typeof value !== 'object' || value === null) return typeof value === 'function' ? undefined : value
  const entries = Object.entries(value).map(([name, each]) => [
    name.toWellFormed().replaceAll('\0', ''),
    cleanValue(each),
  ])
  return Object.fromEntries(entries.toSorted(([a], [b]) => ((a as string) < (b as string) ? -1 : 1)))
}

function isFieldValue(value: unknown): value is FieldValue {
  if (value === null || typeof value !== 'object') return typeof value !== 'symbol'
  return Array.isArray(value) && value.every((each) => each !== null && typeof each !== 'object')
}

function isSoftDeleted(row: Row, column: string | undefined): boolean {
  if (column === undefined) return false
  if (!Object.hasOwn(row, column)) throw new DefinitionError(`There is no column ${column} (search.softDelete)`)
  return row[column] !== null && row[column] !== false
}

function columnsOf({ searchable, filterable, sortable, facets }: SearchDefinition) {
  const fields = [...new Set([...searchable, ...filterable, ...sortable, ...facets])]
  return (rows: readonly Row[]) =>
    rows.map((row) =>
      Object.fromEntries(
        fields.map((field) => {
          if (!Object.hasOwn(row, field))
            throw new DefinitionError(`There is no column ${field}: declare search.project`)
          return [field, row[field]]
        }),
      ),
    )
}
