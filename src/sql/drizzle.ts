import { type SQL, sql } from 'drizzle-orm'
import type { SqlExecutor } from '../outbox/sql-executor.ts'
import { requireTransaction } from './require-transaction.ts'

interface DrizzleTransaction {
  execute(query: SQL): PromiseLike<unknown>
}

/**
 * A transaction of Drizzle, over `pg` or `postgres`. Throws OptionError for anything outside of one.
 * @example await db.transaction((tx) => moca.outbox.record(fromDrizzle(tx), 'shop.orders', event))
 */
export function fromDrizzle(tx: DrizzleTransaction): SqlExecutor {
  requireTransaction('rollback' in tx, 'fromDrizzle', 'take the one of db.transaction((tx) => ...)')
  return {
    query(text, values) {
      const statement = sql.empty()
      for (const [index, part] of text.split(/\$\d+/).entries()) {
        if (index > 0) statement.append(sql`${values[index - 1]}`)
        statement.append(sql.raw(part))
      }
      // Rows, or { rows }, by the driver beneath.
      return tx.execute(statement) as ReturnType<SqlExecutor['query']>
    },
  }
}
