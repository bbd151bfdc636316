import type { Client } from 'pg'
import type { RawRedis } from './raw-redis.ts'

// What relays still have to do, by the tables and keys themselves.

/** In how many of its lanes a process has written down a batch that Redis does not have. */
export async function underWayOf(sql: Client, redis: RawRedis, namespace: string, pid: number): Promise<number> {
  const { rows } = await sql.query<LastBatch>(
    `select lease.lane, max(n)::integer as n
     from moca.lease join moca.relay on relay.id = lease.relay join moca.outbox_batch using (sink, lane)
     where sink = 'queue' and pid = $1 group by lease.lane`,
    [pid],
  )
  return unfinished(rows, redis, namespace)
}

/** Whether every row of the log has been put into a batch, and every batch has come to Redis. */
export async function isAllRelayed(sql: Client, redis: RawRedis, namespace: string): Promise<boolean> {
  const { rows } = await sql.query<{ readonly is_batched: boolean }>(
    `select (select count(*) from moca.outbox) <= (select coalesce(sum(rows), 0) from moca.outbox_batch where sink = 'queue') as is_batched`,
  )
  if (!rows[0]?.is_batched) return false
  const last = await sql.query<LastBatch>(
    `select lane, max(n)::integer as n from moca.outbox_batch where sink = 'queue' group by lane`,
  )
  return (await unfinished(last.rows, redis, namespace)) === 0
}

type LastBatch = { readonly lane: number; readonly n: number }

async function unfinished(batches: readonly LastBatch[], redis: RawRedis, namespace: string): Promise<number> {
  let count = 0
  for (const { lane, n } of batches) {
    const position = await redis.send<string | null>('HGET', `{moca:${namespace}}:relay`, lane)
    if (Number(position?.split(' ')[1] ?? 0) < n) count++
  }
  return count
}
