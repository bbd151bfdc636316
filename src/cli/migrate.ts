import {
  loadMigrations,
  findPending,
  migrate,
  type MigrateOptions,
  type Migration,
  writeScript,
} from '../outbox/migrations.ts'
import type { Context } from './context.ts'
import { EXIT, type ExitCode } from './exit-codes.ts'

export interface MigrateFlags {
  readonly print?: boolean
}

/** Makes the schema in PostgreSQL, or brings it to what this release needs. */
export async function migrateSchema(context: Context, { print = false }: MigrateFlags): Promise<ExitCode> {
  const config = await context.config()
  const { schema } = config.postgres
  const options = { schema, namespace: config.namespace, maxBytes: config.outbox.maxBytes }
  if (print) return printScript(context, options)
  const applied = await context.withDatabase('moca migrate', (database) => migrate(database, options))
  const version = loadMigrations(schema).length
  context.output.result({ schema, namespace: options.namespace, version, applied: applied.map(nameOf) }, () =>
    describe(schema, version, applied),
  )
  return EXIT.fine
}

/** What it would do. Without a database that could be asked, all of it. */
async function printScript(context: Context, options: MigrateOptions): Promise<ExitCode> {
  const { postgres } = await context.config()
  const pending =
    postgres.url === undefined
      ? loadMigrations(options.schema)
      : await context.withDatabase('moca migrate', (database) => findPending(database, options))
  const { schema, namespace } = options
  const sql = writeScript(pending, options)
  context.output.result({ schema, namespace, pending: pending.map(nameOf), sql }, () => sql.trimEnd())
  return EXIT.fine
}

function nameOf({ number, name }: Migration): { number: number; name: string } {
  return { number, name }
}

function describe(schema: string, version: number, applied: readonly Migration[]): string {
  if (applied.length === 0) return `Schema ${schema} is at migration ${version}: nothing to do.`
  const lines = applied.map(({ number, name }) => `Applied migration ${number}: ${name}.`)
  return [...lines, `Schema ${schema} is at migration ${version}.`].join('\n')
}
