import { setTimeout as wait } from 'node:timers/promises'
import type { Client } from 'pg'
import { DOCTYPE } from './recorded.ts'

// How the search index stands, by the tables themselves.

/** The process that writes the index; undefined: none. */
export async function indexWriterOf(sql: Client): Promise<number | undefined> {
  const { rows } = await sql.query<{ owner: string }>(
    `select owner from moca.index_lease where index_name like $1 and owner is not null and alive_until > clock_timestamp()`,
    [`${DOCTYPE}/%`],
  )
  // host:process:session
  return rows[0] && Number(rows[0].owner.split(':').at(-2))
}

/** Documents that this process has written down to submit, and not settled. */
export async function unsettledOf(sql: Client, pid: number): Promise<number> {
  const { rows } = await sql.query<{ documents: number }>(
    `select coalesce(sum(documents), 0)::integer as documents
     from moca.index_batch join moca.index_lease using (index_name, epoch)
     where owner like $1 and not exists (
       select from moca.index_settled where index_settled.index_name = index_batch.index_name and index_settled.n = index_batch.n)`,
    [`%:${pid}:%`],
  )
  return rows[0]?.documents ?? 0
}

/** The table of the live generation; undefined: there is none. */
export async function indexTableOf(sql: Client): Promise<string | undefined> {
  const { rows } = await sql.query<{ id: number }>(
    'select id from moca.search_generation where index_name = $1 and is_live',
    [DOCTYPE],
  )
  return rows[0] && `moca.search_document_${rows[0].id}`
}

const LOOK_EVERY_MS = 100
/** Longer than a lease of the index, and its being taken over. */
const STILL_MS = 8_000

/** Until index and table have the same documents at the same versions, or differ in as many for so long that nobody will mend it. */
export async function waitForIndex(sql: Client): Promise<void> {
  let last = await differencesOf(sql)
  let changedAt = performance.now()
  while (last > 0 && performance.now() - changedAt < STILL_MS) {
    await wait(LOOK_EVERY_MS)
    const now = await differencesOf(sql)
    if (now !== last) changedAt = performance.now()
    last = now
  }
}

async function differencesOf(sql: Client): Promise<number> {
  const table = await indexTableOf(sql)
  if (table === undefined) return Number.POSITIVE_INFINITY
  const { rows } = await sql.query<{ count: number }>(
    `select count(*)::integer as count from city full join ${table} d on d.id = city_id::text
     where version is distinct from (fields ->> 'version')::integer`,
  )
  return rows[0]?.count ?? 0
}
