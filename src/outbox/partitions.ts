import type { PostgresConnection, Queryable, Transaction } from '../postgres/connection.ts'
import { loadStatements } from './statements.ts'
import { quoteIdentifier } from '../postgres/identifier.ts'

/** Partitions that are ready before they are needed: making one takes no lock that a writer waits for, but it may have to wait itself. */
export const PARTITIONS_AHEAD = 2

/** How many partitions are ready for the log to go on in. */
export async function countPartitionsAhead(database: Queryable, schema: string): Promise<number> {
  const sql = loadStatements(['count-future-partitions'], schema)
  const [row] = await database.query<{ future: number }>(sql['count-future-partitions'])
  return row?.future ?? 0
}

/** Runs `fn` in a transaction that waits for no lock longer than that: the server refuses the statement with 55P03. */
export function waitingAtMost<T>(
  connection: PostgresConnection,
  lockTimeoutMs: number,
  fn: (transaction: Transaction) => Promise<T>,
): Promise<T> {
  return connection.transaction(async (transaction) => {
    // Of the transaction: behind a pooler the session goes on to others.
    await transaction.query(`set local lock_timeout = ${lockTimeoutMs}`)
    return fn(transaction)
  })
}

/** Makes the next partition; returns its number. It waits for a lock that others may hold: see `waitingAtMost`. */
export async function addPartition(database: Queryable, schema: string, replyTimeoutMs?: number): Promise<number> {
  const text = `select ${quoteIdentifier(schema)}.add_partition() as number`
  const options = replyTimeoutMs === undefined ? {} : { replyTimeoutMs }
  const [row] = await database.query<{ number: number }>(text, [], options)
  if (!row) throw new Error('add_partition() returned nothing')
  return row.number
}
