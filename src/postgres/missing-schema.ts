import { SchemaError, SqlError } from '../errors.ts'

/** No such function, schema or table. */
const MISSING = /^(42883|3F000|42P01)$/

/** Turns what PostgreSQL says of a statement that does not find Moca's schema into a SchemaError; anything else comes back as it is. */
export function asSchemaError(error: unknown, schema: string): unknown {
  if (!(error instanceof SqlError) || !MISSING.test(error.sqlState)) return error
  return new SchemaError(
    `There is no schema ${schema} of Moca, as this release needs it: ${error.message}. Run moca migrate.`,
    {
      schema,
      problem: 'missing',
    },
  )
}
