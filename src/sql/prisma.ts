import type { SqlExecutor } from '../outbox/sql-executor.ts'
import { requireTransaction } from './require-transaction.ts'

interface PrismaTransaction {
  $queryRawUnsafe(query: string, ...values: unknown[]): PromiseLike<unknown>
}

/**
 * An interactive transaction of Prisma. Throws OptionError for the client itself.
 * @example await prisma.$transaction((tx) => moca.outbox.record(fromPrisma(tx), 'shop.orders', event))
 */
export function fromPrisma(tx: PrismaTransaction): SqlExecutor {
  requireTransaction(!('$connect' in tx), 'fromPrisma', 'take the one of prisma.$transaction((tx) => ...)')
  return { query: (text, values) => tx.$queryRawUnsafe(text, ...values) as PromiseLike<unknown[]> }
}
