import type { Queryable } from '../postgres/connection.ts'
import { quoteIdentifier } from '../postgres/identifier.ts'

/** A document that is to be looked at again, and the marking that says so. */
export interface DirtyDocument {
  readonly docname: string
  readonly mark: number
}

/** A document that cannot be indexed. */
export interface ParkedDocument {
  readonly docname: string
  readonly error: string
  readonly parkedAt: Date
}

/** What is noted of one document. */
export interface DirtyNote {
  readonly isParked: boolean
  /** Of a parked one. */
  readonly error: string | undefined
}

export interface DirtyCounts {
  readonly waiting: number
  readonly parked: number
  readonly oldestAt: Date | undefined
}

/** What an index must look at again though the log does not say so, and what is parked of it (`search_dirty`). */
export class DirtyDocuments {
  readonly #database: Queryable
  readonly #table: string
  readonly #position: string

  /** `position`: `<index>/<generation>`. */
  constructor(database: Queryable, schema: string, position: string) {
    this.#database = database
    this.#table = `${quoteIdentifier(schema)}.search_dirty`
    this.#position = position
  }

  /** Each is looked at once, however often it is marked; a parked one is tried again. */
  async mark(docnames: readonly string[]): Promise<void> {
    if (docnames.length === 0) return
    // In one order: two who mark the same ones would otherwise wait for each other in a circle.
    const text = `
insert into ${this.#table} as present (index_name, docname) select $1, docname from unnest($2::text[]) docname
on conflict (index_name, docname) do update set mark = excluded.mark, parked_at = null, error = null`
    await this.#database.query(text, [this.#position, [...new Set(docnames)].toSorted()])
  }

  /** The next ones, those first that have waited longest. */
  async next(limit: number): Promise<DirtyDocument[]> {
    const text = `select docname, mark from ${this.#table} where index_name = $1 and parked_at is null order by mark limit $2`
    return this.#database.query<DirtyDocument>(text, [this.#position, limit], { name: 'moca-next-dirty' })
  }

  /** Of what waits; 0: nothing does. */
  async lastMark(): Promise<number> {
    const text = `select coalesce(max(mark), 0) as mark from ${this.#table} where index_name = $1 and parked_at is null`
    const [row] = await this.#database.query<{ mark: number }>(text, [this.#position])
    return row?.mark ?? 0
  }

  /** They are in the index as they are now, unless they were marked again meanwhile. */
  async done(documents: readonly DirtyDocument[]): Promise<void> {
    const text = `
delete from ${this.#table} d using unnest($2::text[], $3::bigint[]) as done (docname, mark)
where d.index_name = $1 and d.docname = done.docname and d.mark = done.mark and d.parked_at is null`
    const names = documents.map(({ docname }) => docname)
    await this.#database.query(text, [this.#position, names, documents.map(({ mark }) => mark)])
  }

  /**
   * It cannot be indexed as it is: it waits until it changes, or somebody asks. `mark`: the marking that it was read for; if it was marked
   * again since, it is not parked, but tried once more.
   */
  async park(docname: string, error: string, mark?: number): Promise<void> {
    const text = `
insert into ${this.#table} as present (index_name, docname, parked_at, error) values ($1, $2, clock_timestamp(), $3)
on conflict (index_name, docname) do update set mark = excluded.mark, parked_at = excluded.parked_at, error = excluded.error
where present.parked_at is not null or present.mark = $4`
    await this.#database.query(text, [
      this.#position,
      docname,
      error.slice(0, 2_000).replaceAll('\0', ''),
      mark ?? null,
    ])
  }

  /** These were indexed after all. */
  async unpark(docnames: readonly string[]): Promise<void> {
    const text = `delete from ${this.#table} where index_name = $1 and docname = any ($2) and parked_at is not null`
    await this.#database.query(text, [this.#position, docnames], { name: 'moca-unpark-documents' })
  }

  /** Tries all parked ones, or one of them, again; how many they are. */
  async retry(docname?: string): Promise<number> {
    const text = `
with tried as (
  update ${this.#table} set parked_at = null, error = null
  where index_name = $1 and parked_at is not null and ($2::text is null or docname = $2) returning 1
) select count(*) as count from tried`
    const [row] = await this.#database.query<{ count: number }>(text, [this.#position, docname ?? null])
    return row?.count ?? 0
  }

  async listParked(limit: number): Promise<ParkedDocument[]> {
    const text = `select docname, error, parked_at as "parkedAt" from ${this.#table} where index_name = $1 and parked_at is not null order by parked_at, docname limit $2`
    return this.#database.query<ParkedDocument>(text, [this.#position, limit])
  }

  async count(): Promise<DirtyCounts> {
    const text = `
select count(*) filter (where parked_at is null) as waiting, count(*) filter (where parked_at is not null) as parked,
  min(since) filter (where parked_at is null) as "oldestAt"
from ${this.#table} where index_name = $1`
    const [row] = await this.#database.query<{
      waiting: number
      parked: number
      oldestAt: Date | null
    }>(text, [this.#position])
    return { waiting: row?.waiting ?? 0, parked: row?.parked ?? 0, oldestAt: row?.oldestAt ?? undefined }
  }

  /** What is noted of one document; undefined: nothing. */
  async find(docname: string): Promise<DirtyNote | undefined> {
    const text = `select parked_at is not null as parked, error from ${this.#table} where index_name = $1 and docname = $2`
    const [row] = await this.#database.query<{ parked: boolean; error: string | null }>(text, [this.#position, docname])
    return row && { isParked: row.parked, error: row.error ?? undefined }
  }

  /** The index is no more. */
  async forget(): Promise<void> {
    await this.#database.query(`delete from ${this.#table} where index_name = $1`, [this.#position])
  }
}
