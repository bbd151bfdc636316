import { CompiledQuery, type QueryResult } from 'kysely'
import type { SqlExecutor } from '../outbox/sql-executor.ts'
import { requireTransaction } from './require-transaction.ts'

interface KyselyTransaction {
  readonly isTransaction: boolean
  executeQuery(query: CompiledQuery): Promise<QueryResult<unknown>>
}

/**
 * A transaction of Kysely. Throws OptionError for anything outside of one.
 * @example await db.transaction().execute((trx) => moca.outbox.record(fromKysely(trx), 'shop.orders', event))
 */
export function fromKysely(trx: KyselyTransaction): SqlExecutor {
  requireTransaction(trx.isTransaction, 'fromKysely', 'take the one of db.transaction().execute((trx) => ...)')
  return { query: (text, values) => trx.executeQuery(CompiledQuery.raw(text, values)) }
}
