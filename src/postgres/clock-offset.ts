import type { Queryable } from './connection.ts'

/** How far the server's clock is ahead of this process's, ms. Exact to half the time that an answer takes. */
export async function readClockOffset(database: Queryable): Promise<number> {
  const askedAtMs = Date.now()
  const [row] = await database.query<{ ms: string }>(
    'select (extract(epoch from clock_timestamp()) * 1000)::text as ms',
  )
  return Number(row?.ms) - (askedAtMs + Date.now()) / 2
}
