import type { SqlExecutor } from '../outbox/sql-executor.ts'
import { requireTransaction } from './require-transaction.ts'

interface KnexTransaction {
  readonly isTransaction?: boolean
  raw(sql: string, bindings: string[]): PromiseLike<unknown>
}

/**
 * A transaction of Knex. Throws OptionError for anything outside of one.
 * @example await knex.transaction((trx) => moca.outbox.record(fromKnex(trx), 'shop.orders', event))
 */
export function fromKnex(trx: KnexTransaction): SqlExecutor {
  requireTransaction(trx.isTransaction === true, 'fromKnex', 'take the one of knex.transaction((trx) => ...)')
  return {
    // Its parameters are question marks, and those of the text are escaped.
    query: (text, values) =>
      trx.raw(text.replaceAll('?', '\\?').replaceAll(/\$\d+/g, '?'), values as string[]) as PromiseLike<{
        readonly rows: unknown[]
      }>,
  }
}
