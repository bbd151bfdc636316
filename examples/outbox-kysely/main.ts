import { createMoca, defineJob } from 'mocajs'
import { fromKysely } from 'mocajs/kysely'
import { Kysely, PostgresDialect, sql } from 'kysely'
import { Pool } from 'pg'
import { z } from 'zod'

const sendInvoice = defineJob({ type: 'invoice.send', payload: z.object({ orderId: z.string() }) })

await using moca = createMoca()
const pool = new Pool({ connectionString: process.env.DATABASE_URL ?? 'postgres://127.0.0.1/postgres' })
// The pool replaces an idle connection that breaks; unheard, its error would end the process.
pool.on('error', () => {})
const db = new Kysely<{ shop_order: { id: string; total: number } }>({ dialect: new PostgresDialect({ pool }) })

/** The order, the event and the job: all of them, or none. */
async function placeOrder(id: string, total: number): Promise<void> {
  await db.transaction().execute(async (trx) => {
    await trx.insertInto('shop_order').values({ id, total }).execute()
    await moca.outbox.record(fromKysely(trx), 'shop.orders', {
      type: 'order.placed',
      key: `order:${id}`,
      data: { id, total },
    })
    await moca.outbox.enqueue(fromKysely(trx), sendInvoice, { orderId: id }, { key: `order:${id}` })
    // Whatever fails later takes all of it back.
    if (total < 0) throw new Error('the total is negative')
  })
}

await sql`create table if not exists shop_order (id text primary key, total integer not null)`.execute(db)
await placeOrder('1', 100)
console.log('order 1: committed')
await placeOrder('2', -5).catch((error: Error) => console.log(`order 2: rolled back, ${error.message}`))

// Relays bring this to its handlers (moca outbox start).
const { rows } = await sql<{
  kind: string
  type: string
  key: string
}>`select kind, type, key from moca.outbox order by seq`.execute(db)
for (const { kind, type, key } of rows) console.log(`in the log: ${kind === 'e' ? 'event' : 'job'} ${type} of ${key}`)
await db.destroy()
