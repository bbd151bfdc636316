import type { SqlExecutor } from '../outbox/sql-executor.ts'
import { requireTransaction } from './require-transaction.ts'

interface PgClient {
  // The result has more than the rows.
  query(text: string, values: unknown[]): Promise<{ readonly rows: unknown[] }>
}

/**
 * The transaction of a `pg` client (Client or PoolClient), which has begun it by a statement. The client itself will do as well; this
 * refuses a pool, whose statements do not belong together. Throws OptionError.
 */
export function fromPg(client: PgClient): SqlExecutor {
  requireTransaction(
    !('totalCount' in client),
    'fromPg',
    'take a client of the pool, const client = await pool.connect()',
  )
  return client
}
