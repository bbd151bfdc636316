import { handle, handleEvent } from 'mocajs'
import { sendReceipt, stock } from './app.ts'
import { pool } from './database.ts'

// At least once: a worker may die after its work and before it could say so. So what is done twice is done as if once.

export const receiptHandler = handle(sendReceipt, async ({ payload, log }) => {
  await pool.query('update shop_order set receipt_sent = true where id = $1', [payload.orderId])
  log.info({ orderId: payload.orderId }, 'Sent a receipt')
})

export const stockHandler = handleEvent(stock, async ({ event, log }) => {
  const { id } = event.data as { id: string }
  await pool.query('update shop_order set is_reserved = true where id = $1', [id])
  log.info({ orderId: id }, 'Reserved what was ordered')
})
