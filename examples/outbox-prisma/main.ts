import { createMoca, defineJob } from 'mocajs'
import { fromPrisma } from 'mocajs/prisma'
import { connect, type Transaction } from './client.ts'
import { z } from 'zod'

const sendInvoice = defineJob({ type: 'invoice.send', payload: z.object({ orderId: z.string() }) })

await using moca = createMoca()
const prisma = connect(process.env.DATABASE_URL ?? 'postgres://127.0.0.1/postgres')

/** The order, the event and the job: all of them, or none. */
async function placeOrder(id: string, total: number): Promise<void> {
  await prisma.$transaction(async (tx: Transaction) => {
    // In an application: tx.shopOrder.create({ data: { id, total } })
    await tx.$executeRaw`insert into shop_order (id, total) values (${id}, ${total})`
    await moca.outbox.record(fromPrisma(tx), 'shop.orders', {
      type: 'order.placed',
      key: `order:${id}`,
      data: { id, total },
    })
    await moca.outbox.enqueue(fromPrisma(tx), sendInvoice, { orderId: id }, { key: `order:${id}` })
    // Whatever fails later takes all of it back.
    if (total < 0) throw new Error('the total is negative')
  })
}

await prisma.$executeRawUnsafe('create table if not exists shop_order (id text primary key, total integer not null)')
await placeOrder('1', 100)
console.log('order 1: committed')
await placeOrder('2', -5).catch((error: Error) => console.log(`order 2: rolled back, ${error.message}`))

// Relays bring this to its handlers (moca outbox start).
const rows = (await prisma.$queryRawUnsafe('select kind::text, type, key from moca.outbox order by seq')) as {
  kind: string
  type: string
  key: string
}[]
for (const { kind, type, key } of rows) console.log(`in the log: ${kind === 'e' ? 'event' : 'job'} ${type} of ${key}`)
await prisma.$disconnect()
