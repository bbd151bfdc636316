import { createMoca, defineJob } from 'mocajs'
import { fromDrizzle } from 'mocajs/drizzle'
import { sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { Pool } from 'pg'
import { z } from 'zod'

const sendInvoice = defineJob({ type: 'invoice.send', payload: z.object({ orderId: z.string() }) })

await using moca = createMoca()
const shopOrder = pgTable('shop_order', { id: text().primaryKey(), total: integer().notNull() })
const pool = new Pool({ connectionString: process.env.DATABASE_URL ?? 'postgres://127.0.0.1/postgres' })
// The pool replaces an idle connection that breaks; unheard, its error would end the process.
pool.on('error', () => {})
const db = drizzle(pool)

/** The order, the event and the job: all of them, or none. */
async function placeOrder(id: string, total: number): Promise<void> {
  await db.transaction(async (tx) => {
    await tx.insert(shopOrder).values({ id, total })
    await moca.outbox.record(fromDrizzle(tx), 'shop.orders', {
      type: 'order.placed',
      key: `order:${id}`,
      data: { id, total },
    })
    await moca.outbox.enqueue(fromDrizzle(tx), sendInvoice, { orderId: id }, { key: `order:${id}` })
    // Whatever fails later takes all of it back.
    if (total < 0) throw new Error('the total is negative')
  })
}

await db.execute(sql`create table if not exists shop_order (id text primary key, total integer not null)`)
await placeOrder('1', 100)
console.log('order 1: committed')
await placeOrder('2', -5).catch((error: Error) => console.log(`order 2: rolled back, ${error.message}`))

// Relays bring this to its handlers (moca outbox start).
const { rows } = await db.execute<{ kind: string; type: string; key: string }>(
  sql`select kind, type, key from moca.outbox order by seq`,
)
for (const { kind, type, key } of rows) console.log(`in the log: ${kind === 'e' ? 'event' : 'job'} ${type} of ${key}`)
await pool.end()
