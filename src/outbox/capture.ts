import type { Doctype } from '../doctype/doctype.ts'
import { ConfigError, SqlError } from '../errors.ts'
import type { Queryable } from '../postgres/connection.ts'
import { quoteIdentifier } from '../postgres/identifier.ts'

/** What is installed of a doctype, compared with what this release would install. */
export interface CaptureState {
  readonly doctype: string
  /** Undefined: there is no such table. */
  readonly table: string | undefined
  /** `outdated`: another definition's or release's, or triggers are missing, switched off or on other tables. */
  readonly status: 'current' | 'outdated' | 'missing'
  /** The table and its partitions. */
  readonly tables: readonly { readonly table: string; readonly status: 'current' | 'outdated' | 'missing' }[]
  /** Other tables that have the doctype's triggers. */
  readonly elsewhere: readonly string[]
}

export interface InstalledCapture extends CaptureState {
  readonly did: 'installed' | 'replaced' | 'nothing'
}

export interface RemovedCapture {
  readonly doctype: string
  readonly did: 'removed' | 'nothing'
  readonly tables: readonly string[]
}

type Raw<State extends CaptureState> = Omit<State, 'table'> & { readonly table: string | null }

/** What the functions refuse with (migrations/0004-capture.sql). */
const NOT_CAPTURABLE = 'MO003'

/**
 * Installs, removes and shows the triggers that record every change of a doctype's table, whatever writes to it
 * (docs/decisions/0035-capture.md).
 */
export class Capture {
  readonly #database: Queryable
  readonly #schema: string

  constructor(database: Queryable, schema: string) {
    this.#database = database
    this.#schema = schema
  }

  /**
   * Installs the triggers, or brings them to what this release installs; what was written before is not recorded. Rejects with
   * ConfigError for a table that does not fit the definition, and with a retryable SqlError when the table's lock was not to be had
   * within five seconds.
   */
  async install(doctype: Doctype): Promise<InstalledCapture> {
    return withTable(await this.#call<Raw<InstalledCapture>>('install_capture', definitionOf(doctype), doctype.name))
  }

  async show(doctype: Doctype): Promise<CaptureState> {
    return withTable(await this.#call<Raw<CaptureState>>('show_capture', definitionOf(doctype), doctype.name))
  }

  /** Removes the triggers of a doctype by its name, from wherever they are. */
  remove(name: string): Promise<RemovedCapture> {
    return this.#call<RemovedCapture>('remove_capture', name, name)
  }

  /** The names of all doctypes that are captured. */
  async list(): Promise<string[]> {
    const text = `select ${quoteIdentifier(this.#schema)}.list_captures() as answer`
    const [row] = await this.#database.query<{ answer: { doctype: string }[] }>(text)
    return (row?.answer ?? []).map(({ doctype }) => doctype)
  }

  async #call<Answer>(name: string, argument: string, doctype: string): Promise<Answer> {
    try {
      const text = `select ${quoteIdentifier(this.#schema)}.${name}($1) as answer`
      const [row] = await this.#database.query<{ answer: Answer }>(text, [argument])
      if (!row) throw new Error(`${name}() returned nothing`)
      return row.answer
    } catch (error) {
      if (!(error instanceof SqlError) || error.sqlState !== NOT_CAPTURABLE) throw error
      const { hint } = error.facts
      throw new ConfigError(`${error.message}.${typeof hint === 'string' ? ` ${hint}` : ''}`, { doctype })
    }
  }
}

function definitionOf({ name, schema, table, key, site, omit }: Doctype): string {
  return JSON.stringify({ doctype: name, schema, table, key, site: site ?? null, omit })
}

function withTable<State extends CaptureState>(raw: Raw<State>): State {
  return { ...raw, table: raw.table ?? undefined } as unknown as State
}
