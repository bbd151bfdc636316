import { Pool } from 'pg'

/** `moca dev` sets DATABASE_URL to the PostgreSQL that it started. */
export const pool = new Pool({ connectionString: process.env.DATABASE_URL })
// An idle connection that breaks is replaced by the pool; unheard, its error would end the process whenever PostgreSQL restarts.
pool.on('error', () => {})

export async function createTables(): Promise<void> {
  await pool.query(`create table if not exists shop_order (
    id text primary key,
    total integer not null,
    receipt_sent boolean not null default false,
    is_reserved boolean not null default false
  )`)
}
