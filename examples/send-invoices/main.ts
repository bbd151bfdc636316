import { createMoca } from 'mocajs'
import config from './moca.config.ts'
import { sendInvoice } from './jobs.ts'

await using moca = createMoca(config)

// The same customer's invoices go out in this order, whatever happens to one of them.
for (const orderId of ['1', '2', '3', '4']) {
  const { id, status } = await moca.queue.enqueue(
    sendInvoice,
    { orderId, amount: 100 },
    { key: 'customer:7', idempotencyKey: `invoice:${orderId}` },
  )
  console.log(`order ${orderId}: ${status} as ${id}`)
}

const tooMuch = await moca.queue.enqueue(sendInvoice, { orderId: '5', amount: 20_000 })
console.log(`order 5: ${tooMuch.status} as ${tooMuch.id}; it will be a dead letter`)

const late = await moca.queue.enqueue(sendInvoice, { orderId: '6', amount: 1 }, { delay: '200ms' })
console.log(`order 6: ${late.status} as ${late.id}, in 200 ms`)
