import { OptionError } from '../errors.ts'
import { describeValue } from '../job/describe-value.ts'

/**
 * The caller's own transaction, as the one thing that is needed of it. `pg` (Client, PoolClient) and TypeORM (QueryRunner, EntityManager)
 * have it; mocajs/postgres, /kysely, /drizzle, /prisma and /knex make it of what those libraries hand out. `text` has parameters $1, $2, ...
 */
export interface SqlExecutor {
  query(text: string, values: unknown[]): PromiseLike<{ readonly rows: readonly unknown[] } | readonly unknown[]>
}

/** By what a transaction of a library is known that needs an adapter. */
const LIBRARIES: readonly [member: string, adapter: string][] = [
  ['$queryRawUnsafe', 'fromPrisma of mocajs/prisma'],
  ['executeQuery', 'fromKysely of mocajs/kysely'],
  ['savepoint', 'fromPostgres of mocajs/postgres'],
  ['raw', 'fromKnex of mocajs/knex'],
  ['execute', 'fromDrizzle of mocajs/drizzle'],
]

/** Throws OptionError for what cannot run a statement. `where`: who was given it. */
export function requireExecutor(executor: unknown, where: string): asserts executor is SqlExecutor {
  if (has(executor, 'query')) return
  const adapter = LIBRARIES.find(([member]) => has(executor, member))?.[1]
  const advice = adapter === undefined ? 'there are adapters like fromKysely of mocajs/kysely' : `wrap it by ${adapter}`
  throw new OptionError(
    `${where} takes your transaction as something with query(text, values); ${advice}. Found ${describeValue(executor)}`,
    { option: 'tx' },
  )
}

function has(value: unknown, member: string): boolean {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return false
  return typeof (value as Record<string, unknown>)[member] === 'function'
}
