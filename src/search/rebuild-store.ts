import type { Queryable } from '../postgres/connection.ts'
import { quoteIdentifier } from '../postgres/identifier.ts'

/** A rebuild that is under way, or was left lying. */
export interface RebuildState {
  readonly index: string
  readonly generation: string
  readonly definition: string
  readonly owner: string
  readonly afterDocname: string | undefined
  readonly documents: number
  readonly expected: number | undefined
  readonly isCopied: boolean
  readonly wantsLive: boolean
  readonly beganAt: Date
  readonly updatedAt: Date
}

/** How the last rebuild ended. */
export interface RebuildRecord {
  readonly index: string
  readonly generation: string
  readonly definition: string
  readonly documents: number
  readonly beganAt: Date
  readonly endedAt: Date
}

type NewRebuild = Pick<RebuildState, 'index' | 'generation' | 'definition' | 'owner' | 'expected'>

const COLUMNS = `index_name as index, generation, definition, owner, after_docname as "afterDocname", documents, expected,
  is_copied as "isCopied", wants_live as "wantsLive", began_at as "beganAt", updated_at as "updatedAt"`

/** Rebuilds under way (`search_rebuild`): at most one of an index. Who works on one owns the lease of its shadow's position. */
export class RebuildStore {
  readonly #database: Queryable
  readonly #schema: string

  constructor(database: Queryable, schema: string) {
    this.#database = database
    this.#schema = quoteIdentifier(schema)
  }

  async find(index: string): Promise<RebuildState | undefined> {
    const text = `select ${COLUMNS} from ${this.#schema}.search_rebuild where index_name = $1`
    const [row] = await this.#database.query<Raw<RebuildState>>(text, [index], { name: 'moca-find-rebuild' })
    return row && stateOf(row)
  }

  /** Notes that one begins, unless another one is under way: then that. */
  async begin({ index, generation, definition, owner, expected }: NewRebuild): Promise<RebuildState> {
    const text = `
insert into ${this.#schema}.search_rebuild (index_name, generation, definition, owner, expected) values ($1, $2, $3, $4, $5)
on conflict (index_name) do nothing`
    await this.#database.query(text, [index, generation, definition, owner, expected ?? null])
    const state = await this.find(index)
    if (!state) throw new Error(`The rebuild of ${index} was ended by somebody else as it began`)
    return state
  }

  /** Somebody goes on with it. */
  async adopt(index: string, generation: string, owner: string): Promise<void> {
    await this.#set(index, generation, 'owner = $3, wants_live = false', [owner])
  }

  /** All documents up to this one are in the shadow. */
  async noteCopied(index: string, generation: string, afterDocname: string, documents: number): Promise<void> {
    await this.#set(index, generation, 'after_docname = $3, documents = $4', [afterDocname, documents])
  }

  async noteAllCopied(index: string, generation: string): Promise<void> {
    await this.#set(index, generation, 'is_copied = true', [])
  }

  /** Asks the writer of the live index to let go of it, or not any more. */
  async wantLive(index: string, generation: string, wants: boolean): Promise<void> {
    await this.#set(index, generation, 'wants_live = $3', [wants])
  }

  /** It is over, and how: `swapped`, or given up. */
  async end(index: string, generation: string, outcome: 'swapped' | 'given up'): Promise<void> {
    const text = `
with ended as (
  delete from ${this.#schema}.search_rebuild where index_name = $1 and generation = $2 returning *
)
insert into ${this.#schema}.search_rebuilt (index_name, generation, definition, documents, began_at)
select index_name, generation, definition, documents, began_at from ended where $3
on conflict (index_name) do update set
  generation = excluded.generation, definition = excluded.definition, documents = excluded.documents, began_at = excluded.began_at,
  ended_at = excluded.ended_at`
    await this.#database.query(text, [index, generation, outcome === 'swapped'])
  }

  /** The index is no more. */
  async forget(index: string): Promise<void> {
    await this.#database.query(`delete from ${this.#schema}.search_rebuild where index_name = $1`, [index])
    await this.#database.query(`delete from ${this.#schema}.search_rebuilt where index_name = $1`, [index])
  }

  async last(index: string): Promise<RebuildRecord | undefined> {
    const text = `
select index_name as index, generation, definition, documents, began_at as "beganAt", ended_at as "endedAt"
from ${this.#schema}.search_rebuilt where index_name = $1`
    const [row] = await this.#database.query<RebuildRecord>(text, [index])
    return row
  }

  async #set(index: string, generation: string, change: string, values: readonly unknown[]): Promise<void> {
    const text = `update ${this.#schema}.search_rebuild set ${change}, updated_at = clock_timestamp() where index_name = $1 and generation = $2`
    await this.#database.query(text, [index, generation, ...values])
  }
}

type Raw<State> = { readonly [Key in keyof State]: State[Key] | null }

function stateOf(row: Raw<RebuildState>): RebuildState {
  const { afterDocname, expected } = row
  return {
    ...(row as RebuildState),
    afterDocname: afterDocname ?? undefined,
    expected: expected ?? undefined,
  }
}
