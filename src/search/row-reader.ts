import type { Row } from '../doctype/search-options.ts'
import { SqlError } from '../errors.ts'
import type { Queryable } from '../postgres/connection.ts'
import { quoteIdentifier } from '../postgres/identifier.ts'
import type { NamedRow, SearchedDoctype } from './projection.ts'

interface RawRow {
  readonly docname: string
  readonly row: Row
}

/** Reads the rows of a doctype as they are now: by the names of documents, as capture gives them, or page by page in the order of the key. */
export class RowReader {
  readonly #database: Queryable
  readonly #doctype: SearchedDoctype
  #types: readonly string[] | undefined

  constructor(database: Queryable, doctype: SearchedDoctype) {
    this.#database = database
    this.#doctype = doctype
  }

  /** The rows of these documents; those that there are none of are left out. */
  async read(docnames: readonly string[]): Promise<NamedRow[]> {
    if (docnames.length === 0) return []
    const { key } = this.#doctype
    const columns = await this.#columns()
    const wanted = columns.map(({ type }, index) => `w.parts[${index + 1}]::${type} as k${index}`).join(', ')
    const on = columns.map(({ name }, index) => `r.${name} = wanted.k${index}`).join(' and ')
    // Each is looked up by the index of the key, however few the server thinks that there are.
    const text = `
select r.docname, r.row from (
  select ${wanted} from (select ${key.length === 1 ? 'array[each]' : 'array(select json_array_elements_text(each::json))'} as parts from unnest($1::text[]) each) w
) wanted cross join lateral (
  select ${this.#docname('r')} as docname, to_json(r.*) as row from ${this.#table()} r where ${on} limit 1
) r`
    return this.#ask(text, [docnames])
  }

  /** Rows behind a document, in the order of the key. */
  async readPage(after: string | undefined, limit: number): Promise<NamedRow[]> {
    const columns = await this.#columns()
    const names = columns.map(({ name }) => `r.${name}`).join(', ')
    const parts = after === undefined ? [] : this.#partsOf(after)
    const bounds = columns.map(({ type }, index) => `$${index + 2}::text::${type}`).join(', ')
    const where = after === undefined ? '' : `where (${names}) > (${bounds})`
    const text = `select ${this.#docname('r')} as docname, to_json(r.*) as row from ${this.#table()} r ${where} order by ${names} limit $1`
    return this.#ask(text, [limit, ...parts])
  }

  /** Names of documents that embed these ones of another doctype, in chunks. `column` and `find`: as the doctype says. */
  async *findEmbedding(
    { column, find }: { readonly column?: string; readonly find?: string },
    docnames: readonly string[],
    limit: number,
  ): AsyncGenerator<string[]> {
    const columns = await this.#columns()
    const names = columns.map(({ name }) => `r.${name}`).join(', ')
    const [first] = columns
    const found =
      find === undefined
        ? `r.${quoteIdentifier(column ?? '')}::text = any ($1)`
        : `r.${first?.name} in (select found.key::${first?.type} from (${find}) found (key))`
    let after: string | undefined
    do {
      const parts: readonly string[] = after === undefined ? [] : this.#partsOf(after)
      const bounds = columns.map(({ type }, index) => `$${index + 3}::text::${type}`).join(', ')
      const behind = after === undefined ? '' : `and (${names}) > (${bounds})`
      const text = `select ${this.#docname('r')} as docname from ${this.#table()} r where ${found} ${behind} order by ${names} limit $2`
      const rows = await this.#database.query<{ docname: string }>(text, [docnames, limit, ...parts])
      if (rows.length > 0) yield rows.map(({ docname }) => docname)
      after = rows.length < limit ? undefined : rows.at(-1)?.docname
    } while (after !== undefined)
  }

  /** About how many rows there are, by the server's statistics. Undefined: it has none. */
  async estimate(): Promise<number | undefined> {
    const text = 'select nullif(reltuples, -1)::float8 as count from pg_class where oid = $1::regclass'
    const [row] = await this.#database.query<{ count: number | null }>(text, [this.#table()])
    return row?.count ?? undefined
  }

  async count(): Promise<number> {
    const [row] = await this.#database.query<{ count: number }>(`select count(*) as count from ${this.#table()}`, [], {
      replyTimeoutMs: 600_000,
    })
    return row?.count ?? 0
  }

  async #ask(text: string, values: readonly unknown[]): Promise<NamedRow[]> {
    const rows = await this.#database.query<RawRow>(text, values, { replyTimeoutMs: 60_000 })
    return rows.map(({ docname, row }) => ({ docname, row }))
  }

  async #columns(): Promise<readonly { readonly name: string; readonly type: string }[]> {
    const { key } = this.#doctype
    this.#types ??= await this.#readTypes()
    return key.map((name, index) => ({ name: quoteIdentifier(name), type: this.#types?.[index] ?? 'text' }))
  }

  async #readTypes(): Promise<readonly string[]> {
    const { key, name } = this.#doctype
    const text = `
select a.attname as name, format_type(a.atttypid, a.atttypmod) as type from pg_attribute a
where a.attrelid = to_regclass($1) and a.attname = any ($2) and a.attnum > 0 and not a.attisdropped`
    const found = await this.#database.query<{ name: string; type: string }>(text, [this.#table(), key])
    const types = new Map(found.map((column) => [column.name, column.type]))
    const missing = key.find((column) => !types.has(column))
    if (missing !== undefined) {
      throw new SqlError(
        `Doctype ${name}: there is no table ${this.#table()} with a column ${missing}`,
        '42703',
        {},
        undefined,
      )
    }
    return key.map((column) => types.get(column) as string)
  }

  /** As capture names a document: 0004-capture.sql. */
  #docname(row: string): string {
    const { key } = this.#doctype
    const texts = key.map((column) => `${row}.${quoteIdentifier(column)}::text`)
    return texts.length === 1 ? (texts[0] as string) : `json_build_array(${texts.join(', ')})::text`
  }

  #partsOf(docname: string): readonly string[] {
    return this.#doctype.key.length === 1 ? [docname] : (JSON.parse(docname) as string[])
  }

  #table(): string {
    const { schema, table } = this.#doctype
    return `${quoteIdentifier(schema)}.${quoteIdentifier(table)}`
  }
}
