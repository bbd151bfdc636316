import { createMoca } from 'mocajs'
import { fromPg } from 'mocajs/pg'
import { sendReceipt } from './app.ts'
import { pool } from './database.ts'
import config from './moca.config.ts'

export const moca = createMoca(config)

/** The order, the event and the job: all of them, or none. */
export async function placeOrder(id: string, total: number): Promise<void> {
  const client = await pool.connect()
  try {
    await client.query('begin')
    await client.query('insert into shop_order (id, total) values ($1, $2)', [id, total])
    const tx = fromPg(client)
    await moca.outbox.record(tx, 'shop.orders', { type: 'order.placed', key: `order:${id}`, data: { id, total } })
    await moca.outbox.enqueue(tx, sendReceipt, { orderId: id }, { key: `order:${id}` })
    if (total < 0) throw new Error('The total is negative')
    await client.query('commit')
  } catch (error) {
    await client.query('rollback')
    throw error
  } finally {
    client.release()
  }
}
