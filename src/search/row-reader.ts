import type { Row } from '../doctype/search-options.ts'
import { SqlError } from '../errors.ts'
import type { Database } from '../postgres/database.ts'
import { quoteIdentifier } from '../postgres/identifier.ts'
import type { NamedRow, SearchedDoctype } from './projection.ts'

interface RawRow {
  readonly docname: string
  readonly row: Row
}

/** As capture sets them (0004-capture.sql): one document has one text for its key, and one for its row, whatever the role or the server prefers. */
const SETTINGS = `
set local timezone = 'UTC'; set local datestyle = 'ISO, YMD'; set local intervalstyle = 'postgres'; set local extra_float_digits = 1;
set local bytea_output = 'hex'`
/** A text that is no value of a column's type: 22 of data, 23514 of a domain. */
const NO_SUCH_VALUE = /^(22(P02|P05|003|007|008|023)|23514)$/
const PATIENCE = { replyTimeoutMs: 60_000 }

/** Reads the rows of a doctype as they are now: by the names of documents, as capture gives them, or page by page in the order of the key. */
export class RowReader {
  readonly #database: Pick<Database, 'query' | 'transaction'>
  readonly #doctype: SearchedDoctype
  /** Of columns, as far as they were asked for. */
  readonly #types = new Map<string, string>()

  constructor(database: Pick<Database, 'query' | 'transaction'>, doctype: SearchedDoctype) {
    this.#database = database
    this.#doctype = doctype
  }

  /**
   * The rows of these documents; those that there are none of are left out. So are names that can be no key of the table: whoever may record
   * may have given them, and the index must not stand still for it.
   */
  async read(docnames: readonly string[]): Promise<NamedRow[]> {
    if (docnames.length === 0) return []
    try {
      return await this.#find(docnames)
    } catch (error) {
      if (!isNoSuchValue(error)) throw error
      // All of them once more: it may have been the columns' types, which are read anew now.
      return this.#findApart(docnames)
    }
  }

  async #findApart(docnames: readonly string[]): Promise<NamedRow[]> {
    try {
      return await this.#find(docnames)
    } catch (error) {
      if (!isNoSuchValue(error)) throw error
      if (docnames.length === 1) return []
      const middle = Math.ceil(docnames.length / 2)
      return [...(await this.#findApart(docnames.slice(0, middle))), ...(await this.#findApart(docnames.slice(middle)))]
    }
  }

  async #find(docnames: readonly string[]): Promise<NamedRow[]> {
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
    return this.#ask<RawRow>(text, [docnames])
  }

  /** Rows behind a document, in the order of the key. */
  async readPage(after: string | undefined, limit: number): Promise<NamedRow[]> {
    const columns = await this.#columns()
    const names = columns.map(({ name }) => `r.${name}`).join(', ')
    const parts = after === undefined ? [] : this.#partsOf(after)
    const bounds = columns.map(({ type }, index) => `$${index + 2}::text::${type}`).join(', ')
    const where = after === undefined ? '' : `where (${names}) > (${bounds})`
    const text = `select ${this.#docname('r')} as docname, to_json(r.*) as row from ${this.#table()} r ${where} order by ${names} limit $1`
    return this.#ask<RawRow>(text, [limit, ...parts])
  }

  /** Names of documents that embed these ones of another doctype, in chunks. `column` and `find`: as the doctype says. */
  async *findEmbedding(
    { column, find }: { readonly column?: string; readonly find?: string },
    docnames: readonly string[],
    limit: number,
  ): AsyncGenerator<string[]> {
    let after: string | undefined
    do {
      const names = await this.#pageOfEmbedding(await this.#embeds(column, find), docnames, limit, after)
      if (names.length > 0) yield names
      after = names.length < limit ? undefined : names.at(-1)
    } while (after !== undefined)
  }

  async #pageOfEmbedding(
    found: { readonly condition: string; readonly otherwise: string | undefined },
    docnames: readonly string[],
    limit: number,
    after: string | undefined,
  ): Promise<string[]> {
    const columns = await this.#columns()
    const names = columns.map(({ name }) => `r.${name}`).join(', ')
    const parts: readonly string[] = after === undefined ? [] : this.#partsOf(after)
    const bounds = columns.map(({ type }, index) => `$${index + 3}::text::${type}`).join(', ')
    const behind = after === undefined ? '' : `and (${names}) > (${bounds})`
    const ask = async (condition: string) => {
      const text = `select ${this.#docname('r')} as docname from ${this.#table()} r where ${condition} ${behind} order by ${names} limit $2`
      return (await this.#ask<{ docname: string }>(text, [docnames, limit, ...parts])).map(({ docname }) => docname)
    }
    try {
      return await ask(found.condition)
    } catch (error) {
      if (found.otherwise === undefined || !isNoSuchValue(error)) throw error
      return ask(found.otherwise)
    }
  }

  /** Which rows embed the documents of $1. `otherwise`: the same where a name of theirs is no value of the column. */
  async #embeds(
    column: string | undefined,
    find: string | undefined,
  ): Promise<{ readonly condition: string; readonly otherwise: string | undefined }> {
    const [first] = await this.#columns()
    if (column === undefined) {
      const condition = `r.${first?.name} in (select found.key::${first?.type} from (${find}) found (key))`
      return { condition, otherwise: undefined }
    }
    // In the column's type: an index of it is of no use for its texts.
    const name = quoteIdentifier(column)
    const [type] = await this.#typesOf([column])
    return { condition: `r.${name} = any ($1::text[]::${type}[])`, otherwise: `r.${name}::text = any ($1)` }
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

  async #ask<Found>(text: string, values: readonly unknown[]): Promise<Found[]> {
    try {
      return await this.#database.transaction(async (transaction) => {
        await transaction.run(SETTINGS)
        return transaction.query<Found>(text, values, PATIENCE)
      })
    } catch (error) {
      // Columns may have other types by now.
      if (error instanceof SqlError) this.#types.clear()
      throw error
    }
  }

  async #columns(): Promise<readonly { readonly name: string; readonly type: string }[]> {
    const { key } = this.#doctype
    const types = await this.#typesOf(key)
    return key.map((name, index) => ({ name: quoteIdentifier(name), type: types[index] ?? 'text' }))
  }

  async #typesOf(names: readonly string[]): Promise<readonly string[]> {
    if (!names.every((name) => this.#types.has(name))) await this.#readTypes(names)
    return names.map((name) => this.#types.get(name) as string)
  }

  async #readTypes(names: readonly string[]): Promise<void> {
    const text = `
select a.attname as name, format_type(a.atttypid, a.atttypmod) as type from pg_attribute a
where a.attrelid = to_regclass($1) and a.attname = any ($2) and a.attnum > 0 and not a.attisdropped`
    const found = await this.#database.query<{ name: string; type: string }>(text, [this.#table(), names])
    for (const { name, type } of found) this.#types.set(name, type)
    const missing = names.find((column) => !this.#types.has(column))
    if (missing === undefined) return
    throw new SqlError(
      `Doctype ${this.#doctype.name}: there is no table ${this.#table()} with a column ${missing}`,
      '42703',
      {},
      undefined,
    )
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

function isNoSuchValue(error: unknown): boolean {
  return error instanceof SqlError && NO_SUCH_VALUE.test(error.sqlState)
}
