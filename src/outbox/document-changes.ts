import type { Queryable } from '../postgres/connection.ts'
import { loadStatements } from './statements.ts'
import { readArguments, type Window } from './window.ts'

/** A document of which something was recorded. What became of it is to be read from its table. */
export interface ChangedDocument {
  readonly doctype: string
  readonly site: string | undefined
  /** Its key, as capture names it: a text, or a JSON list of texts. */
  readonly docname: string
}

/** A row as the statements find it; `line`: by which of the lines that they were given. */
export interface FoundChange {
  readonly line: string
  readonly seq: number
  readonly doctype: string | null
  readonly site: string | null
  /** Null: it says of no document of the index. */
  readonly docname: string | null
  /** As many rows as may be were looked at: behind it there may be more of its line. */
  readonly is_end: boolean
}

/** The next changes of a window over all lanes. */
export interface ChangeReading {
  /** Each document once, by its first change. */
  readonly documents: readonly ChangedDocument[]
  /** All changes of the window up to this seq are among them. */
  readonly uptoSeq: number
  readonly isLast: boolean
}

const LANES = Array.from({ length: 16 }, (_, lane) => lane)
const NAMES = ['read-begun-changes', 'read-late-changes'] as const

/** Reads of the log which documents changed. */
export class DocumentChanges {
  readonly #database: Queryable
  readonly #sql: Readonly<Record<(typeof NAMES)[number], string>>

  constructor(database: Queryable, schema: string) {
    this.#database = database
    this.#sql = loadStatements(NAMES, schema)
  }

  /**
   * The next changes of these doctypes in a window. At most `mostPerLane` rows of a lane are looked at, whosever they are: however much there
   * is that is not of the index, a reading is short.
   */
  async read(
    doctypes: readonly string[],
    window: Omit<Window, 'lane' | 'uptoSeq'>,
    mostPerLane: number,
  ): Promise<ChangeReading> {
    const { begun, late } = readArguments(LANES.map((lane) => ({ ...window, lane })))
    const begunChanges = await this.#find('read-begun-changes', [
      doctypes,
      begun.lanes,
      begun.above,
      begun.high,
      begun.xmax,
      begun.seen,
      mostPerLane,
    ])
    const lateChanges =
      late.lanes.length === 0
        ? []
        : await this.#find('read-late-changes', [doctypes, late.lanes, late.above, late.upto, late.xids, mostPerLane])
    return mergeChanges([...begunChanges, ...lateChanges], window.to.high)
  }

  async #find(name: (typeof NAMES)[number], values: readonly unknown[]): Promise<FoundChange[]> {
    type Raw = Omit<FoundChange, 'line'> & { readonly line: number }
    const rows = await this.#database.query<Raw>(this.#sql[name], values, { name: `moca-${name}` })
    return rows.map((row) => ({ ...row, line: `${name} ${row.line}` }))
  }
}

/**
 * Puts together what was found line by line. Behind the end of a line there may be more of it, so what lies behind the first such end is
 * left for the next reading. The line that ends there gives all that it found: there is always progress.
 */
export function mergeChanges(found: readonly FoundChange[], endSeq: number): ChangeReading {
  const ends = found.filter(({ is_end }) => is_end).map(({ seq }) => seq)
  const uptoSeq = Math.min(endSeq, ...ends)
  const taken = found.filter(({ seq }) => seq <= uptoSeq).toSorted((a, b) => a.seq - b.seq)
  return { documents: coalesce(taken), uptoSeq, isLast: ends.length === 0 }
}

function coalesce(changes: readonly FoundChange[]): ChangedDocument[] {
  const documents = new Map<string, ChangedDocument>()
  for (const { doctype, site, docname } of changes) {
    if (doctype === null || docname === null) continue
    const id = JSON.stringify([doctype, site, docname])
    if (!documents.has(id)) documents.set(id, { doctype, site: site ?? undefined, docname })
  }
  return [...documents.values()]
}
