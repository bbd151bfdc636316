import { SchemaError } from '../errors.ts'
import { migrate, type MigrateOptions, requireSchema } from '../outbox/migrations.ts'
import type { Database } from '../postgres/database.ts'
import { type Diagnosis, problem } from './diagnosis.ts'

const MENDABLE: readonly unknown[] = ['missing', 'older']

/** Whether the schema in PostgreSQL is what this release needs. */
export async function checkSchema(database: Database, options: MigrateOptions): Promise<Diagnosis[]> {
  try {
    await requireSchema(database, options)
    return []
  } catch (error) {
    if (!(error instanceof SchemaError)) throw error
    const isMendable = MENDABLE.includes(error.facts.problem)
    const fix = isMendable
      ? 'moca migrate, with the role that owns the schema.'
      : 'Run the release, or set the namespace or postgres.schema, that the message names.'
    return [problem(error.message, fix, isMendable ? () => migrateNow(database, options) : undefined)]
  }
}

async function migrateNow(database: Database, options: MigrateOptions): Promise<string> {
  const applied = await migrate(database, options)
  const names = applied.map(({ number, name }) => `${number} (${name})`).join(', ')
  return `Applied ${applied.length === 1 ? 'migration' : 'migrations'} ${names} to schema ${options.schema}.`
}
