import type { Outcome } from './transaction-journal.ts'
import type { WriterConnection } from './writer-connection.ts'

/**
 * How a transaction ended whose answer was lost. Waits for it if it still runs; when it is said to be rolled back, it can never be
 * committed any more (schema.sql).
 */
export async function settleTransaction(connection: WriterConnection, name: string): Promise<Outcome> {
  const written = await connection.query(
    'insert into application_transaction (name, is_given_up) values ($1, true) on conflict (name) do nothing returning name',
    [name],
  )
  if (written.length > 0) return 'rolled-back'
  // It may have been given up before, by somebody whose own answer was lost.
  const [row] = await connection.query<{ is_given_up: boolean }>(
    'select is_given_up from application_transaction where name = $1',
    [name],
  )
  return row?.is_given_up ? 'rolled-back' : 'committed'
}
