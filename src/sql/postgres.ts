import type { SqlExecutor } from '../outbox/sql-executor.ts'
import { requireTransaction } from './require-transaction.ts'

interface PostgresTransaction {
  // The parameters' own type is narrower than ours: a text fits.
  unsafe(text: string, values: string[]): PromiseLike<readonly unknown[]>
}

/**
 * The transaction that `sql.begin` of `postgres` hands out. Throws OptionError for `sql` itself.
 * @example await sql.begin((tx) => moca.outbox.record(fromPostgres(tx), 'shop.orders', event))
 */
export function fromPostgres(tx: PostgresTransaction): SqlExecutor {
  requireTransaction('savepoint' in tx, 'fromPostgres', 'take the one of sql.begin((tx) => ...)')
  return { query: (text, values) => tx.unsafe(text, values as string[]) }
}
