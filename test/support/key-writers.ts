import type { PostgresConnection, Queryable } from '../../src/postgres/connection.ts'

/** Makes the rows whose locks writers fight for. */
export async function createCounters(database: Queryable, keys: number): Promise<void> {
  await database.query('create table counter (key text primary key, value bigint not null default 0)')
  await addCounters(database, keys, 'k')
}

/** Rows of further keys. */
export async function addCounters(database: Queryable, keys: number, prefix: string): Promise<void> {
  await database.query(`insert into counter (key) select $2 || n from generate_series(1, $1::int) n`, [keys, prefix])
}

/**
 * Writes like an application: transactions of mixed size take the lock of rows, raise their counters and record the new values, in this
 * order; some roll back, some stay open for a while. Whatever commits was counted under the lock, so a key's events must arrive as
 * 1, 2, 3, ... Returns how many transactions committed.
 */
export async function writeUntil(
  connection: PostgresConnection,
  stop: AbortSignal,
  {
    keys,
    prefix = 'k',
    random = Math.random,
    linger = async () => {},
    pace = async () => {},
  }: {
    keys: number
    /** Of the names of keys. */
    prefix?: string
    random?: () => number
    /** Some transactions stay open for so long. */
    linger?: () => Promise<void>
    /** Between two transactions. */
    pace?: () => Promise<void>
  },
): Promise<number> {
  let committed = 0
  while (!stop.aborted) {
    const size = 1 + Math.floor(random() ** 3 * 40)
    const picked = [
      ...new Set(Array.from({ length: size }, () => `${prefix}${1 + Math.floor(random() * keys)}`)),
    ].toSorted()
    const rollsBack = random() < 0.1
    const written = connection.transaction(async (tx) => {
      for (const key of picked) {
        const [row] = await tx.query<{ value: number }>(
          'update counter set value = value + 1 where key = $1 returning value',
          [key],
        )
        const event = { topic: 'test.counters', event_type: 'counted', key, data: { value: row?.value } }
        await tx.query('select moca.record($1)', [JSON.stringify(event)])
      }
      if (random() < 0.05) await linger()
      if (rollsBack) throw new RolledBack()
    })
    await written.then(
      () => committed++,
      (error: unknown) => {
        if (!(error instanceof RolledBack)) throw error
      },
    )
    await pace()
  }
  return committed
}

class RolledBack extends Error {}

/** What is wrong with the order in which a key's events arrived; empty when nothing is. `counters`: key -> its last value. */
export function judgeOrder(
  arrived: readonly { readonly key: string | undefined; readonly payload: string }[],
  counters: ReadonlyMap<string, number>,
): string[] {
  const problems: string[] = []
  const last = new Map<string, number>()
  for (const { key = '', payload } of arrived) {
    const { value } = (JSON.parse(payload) as { data: { value: number } }).data
    const expected = (last.get(key) ?? 0) + 1
    if (value !== expected) problems.push(`${key}: ${value} came where ${expected} was next`)
    last.set(key, value)
  }
  for (const [key, value] of counters) {
    if ((last.get(key) ?? 0) !== value) problems.push(`${key}: arrived up to ${last.get(key) ?? 0} of ${value}`)
  }
  return problems
}
