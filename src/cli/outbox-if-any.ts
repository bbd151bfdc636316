import type { MocaConfig } from '../config/config.ts'
import { SchemaError } from '../errors.ts'
import { requireSchema } from '../outbox/migrations.ts'
import type { Database } from '../postgres/database.ts'
import type { Context } from './context.ts'

/** Gives access to the outbox. Undefined where there is none: no PostgreSQL, or one in which Moca has nothing, which is said. */
export async function withOutboxIfAny<T>(
  context: Context,
  command: string,
  use: (database: Database, config: MocaConfig) => Promise<T>,
): Promise<T | undefined> {
  const config = await context.config()
  const { namespace, postgres } = config
  if (postgres.url === undefined) return undefined
  return context.withDatabase(command, async (database) => {
    try {
      await requireSchema(database, { schema: postgres.schema, namespace })
    } catch (error) {
      // The application's own database, in which Moca has nothing.
      if (!(error instanceof SchemaError) || error.facts.problem !== 'missing') throw error
      context.output.note(`No outbox is looked at: ${error.message}`)
      return undefined
    }
    return use(database, config)
  })
}
