import { Client } from 'pg'
import { waitFor } from '../test/support/wait-for.ts'
import { indexTableOf } from './index-work.ts'
import { DOCTYPE } from './recorded.ts'

// Damage done to the search index by a process that is no part of Moca, with plain SQL:
//   node demo/index-fault-process.ts DATABASE_URL
// Waits for an opportunity, does it, and prints what it did.
//
// The document is that of a city which nobody changes any more: a change would bring it back. And all that its index had under way is
// settled before: what is not may be indexed once more.

const GIVE_UP_MS = 60_000
const FIND = (table: string) =>
  `select id from ${table} join city on city_id::text = id where longitude is null or abs(latitude) > 90 order by id limit 1`

const client = new Client({ connectionString: process.argv[2] ?? '' })
await client.connect()
try {
  const { table, id } = await waitFor(findDocument, { timeoutMs: GIVE_UP_MS, describe: 'a document in the index' })
  const last = await lastNumber('index_batch')
  await waitFor(async () => (await lastNumber('index_settled')) >= last && (await isSettledUpTo(last)), {
    timeoutMs: GIVE_UP_MS,
    describe: `batch ${last} of the index, and all before it, to be settled`,
  })
  const { rowCount } = await client.query(`delete from ${table} where id = $1`, [id])
  if (rowCount !== 1) throw new Error(`${DOCTYPE} ${id} was gone from ${table}`)
  console.log(`the document of ${DOCTYPE} ${id} was deleted from ${table}`)
} finally {
  await client.end()
}

async function findDocument(): Promise<{ readonly table: string; readonly id: string } | undefined> {
  const table = await indexTableOf(client)
  if (table === undefined) return undefined
  const { rows } = await client.query<{ id: string }>(FIND(table))
  return rows[0] && { table, id: rows[0].id }
}

async function lastNumber(table: 'index_batch' | 'index_settled'): Promise<number> {
  const { rows } = await client.query<{ n: number }>(
    `select coalesce(max(n), 0)::integer as n from moca.${table} where index_name like $1`,
    [`${DOCTYPE}/%`],
  )
  return rows[0]?.n ?? 0
}

async function isSettledUpTo(last: number): Promise<boolean> {
  const { rowCount } = await client.query(
    `select from moca.index_batch b where index_name like $1 and n <= $2
     and not exists (select from moca.index_settled s where s.index_name = b.index_name and s.n = b.n)`,
    [`${DOCTYPE}/%`, last],
  )
  return rowCount === 0
}
