import type { SqlExecutor } from '../outbox/sql-executor.ts'
import { requireTransaction } from './require-transaction.ts'

interface TypeormQueryRunner {
  readonly isTransactionActive: boolean
}

interface TypeormTransaction {
  query(query: string, parameters?: unknown[]): Promise<unknown>
  /** Of an EntityManager. */
  readonly queryRunner?: TypeormQueryRunner | undefined
  /** Of a QueryRunner. */
  readonly isTransactionActive?: boolean
}

/**
 * A transaction of TypeORM: the EntityManager that `dataSource.transaction` hands out, or a QueryRunner that has started one. Throws
 * OptionError for anything outside of one.
 * @example await dataSource.transaction((manager) => moca.outbox.record(fromTypeorm(manager), 'shop.orders', event))
 */
export function fromTypeorm(tx: TypeormTransaction): SqlExecutor {
  const isActive = tx.isTransactionActive ?? tx.queryRunner?.isTransactionActive ?? false
  requireTransaction(isActive, 'fromTypeorm', 'take the one of dataSource.transaction((manager) => ...)')
  return { query: (text, values) => tx.query(text, values) as Promise<unknown[]> }
}
