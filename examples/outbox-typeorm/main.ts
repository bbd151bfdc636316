import { createMoca, defineJob } from 'mocajs'
import { fromTypeorm } from 'mocajs/typeorm'
import { DataSource, EntitySchema } from 'typeorm'
import { z } from 'zod'

const sendInvoice = defineJob({ type: 'invoice.send', payload: z.object({ orderId: z.string() }) })

await using moca = createMoca()
const ShopOrder = new EntitySchema<{ id: string; total: number }>({
  name: 'shop_order',
  columns: { id: { type: 'text', primary: true }, total: { type: 'integer' } },
})
const source = new DataSource({
  type: 'postgres',
  url: process.env.DATABASE_URL ?? 'postgres://127.0.0.1/postgres',
  entities: [ShopOrder],
})
await source.initialize()

/** The order, the event and the job: all of them, or none. */
async function placeOrder(id: string, total: number): Promise<void> {
  await source.transaction(async (manager) => {
    await manager.insert(ShopOrder, { id, total })
    await moca.outbox.record(fromTypeorm(manager), 'shop.orders', {
      type: 'order.placed',
      key: `order:${id}`,
      data: { id, total },
    })
    await moca.outbox.enqueue(fromTypeorm(manager), sendInvoice, { orderId: id }, { key: `order:${id}` })
    // Whatever fails later takes all of it back.
    if (total < 0) throw new Error('the total is negative')
  })
}

await source.query('create table if not exists shop_order (id text primary key, total integer not null)')
await placeOrder('1', 100)
console.log('order 1: committed')
await placeOrder('2', -5).catch((error: Error) => console.log(`order 2: rolled back, ${error.message}`))

// Relays bring this to its handlers (moca outbox start).
const rows: { kind: string; type: string; key: string }[] = await source.query(
  'select kind, type, key from moca.outbox order by seq',
)
for (const { kind, type, key } of rows) console.log(`in the log: ${kind === 'e' ? 'event' : 'job'} ${type} of ${key}`)
await source.destroy()
