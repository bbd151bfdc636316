import type { Database } from '../postgres/database.ts'
import { quoteIdentifier } from '../postgres/identifier.ts'
import { asSchemaError } from '../postgres/missing-schema.ts'

/** A schedule as it is kept. */
export interface KeptSchedule {
  readonly name: string
  /** Null: it is the configuration's, or was removed. */
  readonly definition: string | null
  readonly isEnabled: boolean
  readonly isRemoved: boolean
}

/** What can be done to them within one change. */
export interface KeptChange {
  list(): Promise<KeptSchedule[]>
  /** Of run time. One that was removed begins anew, enabled. */
  put(name: string, definition: string, isEnabled?: boolean): Promise<void>
  /** False: it is not there. */
  remove(name: string): Promise<boolean>
  /** Also one of the configuration. */
  switch(name: string, isEnabled: boolean): Promise<void>
}

/**
 * Schedules of run time in PostgreSQL, where there is one, and what was enabled or disabled: the truth, of which Redis has a copy that
 * schedulers work with.
 */
export class KeptSchedules {
  readonly #database: Database
  readonly #schema: string
  readonly #table: string

  constructor(database: Database, schema: string) {
    this.#database = database
    this.#schema = schema
    this.#table = `${quoteIdentifier(schema)}.schedule`
  }

  /**
   * Runs `change` while nobody else changes schedules, in any process; what it writes is kept if and only if it resolves. Rejects with
   * SchemaError where Moca's schema is missing.
   */
  async change<T>(change: (kept: KeptChange) => Promise<T>): Promise<T> {
    try {
      return await this.#database.transaction(async (tx) => {
        await tx.query(`select pg_advisory_xact_lock(hashtextextended('moca.schedules:' || $1, 7446126))`, [
          this.#schema,
        ])
        return change(this.#operations(tx.query.bind(tx)))
      })
    } catch (error) {
      throw asSchemaError(error, this.#schema)
    }
  }

  #operations(query: <Row>(text: string, values?: readonly unknown[]) => Promise<Row[]>): KeptChange {
    const table = this.#table
    return {
      list: () =>
        query<KeptSchedule>(
          `select name, definition, is_enabled as "isEnabled", removed_at is not null as "isRemoved" from ${table} order by name`,
        ),
      async put(name, definition, isEnabled) {
        await query(
          `insert into ${table} as kept (name, definition, is_enabled) values ($1, $2, coalesce($3, true))
           on conflict (name) do update set
             definition = excluded.definition, is_enabled = coalesce($3, kept.is_enabled or kept.removed_at is not null),
             removed_at = null, changed_at = clock_timestamp()`,
          [name, definition, isEnabled ?? null],
        )
      },
      async remove(name) {
        const removed = await query(
          `update ${table} set definition = null, is_enabled = true, removed_at = clock_timestamp(), changed_at = clock_timestamp()
           where name = $1 and definition is not null returning name`,
          [name],
        )
        return removed.length > 0
      },
      async switch(name, isEnabled) {
        await query(
          `insert into ${table} (name, is_enabled) values ($1, $2)
           on conflict (name) do update set is_enabled = excluded.is_enabled, changed_at = clock_timestamp()`,
          [name, isEnabled],
        )
      },
    }
  }
}
