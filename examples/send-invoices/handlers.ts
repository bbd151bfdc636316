import { fail, handle } from 'mocajs'
import { sendInvoice } from './jobs.ts'

/** What an outside system remembers: the highest fence per invoice. A stale attempt is refused by it. */
const sent = new Map<string, bigint>()

export const sendInvoiceHandler = handle(sendInvoice, async ({ payload, attempt, fence, log }) => {
  if (payload.amount > 10_000) throw fail('over the limit of a single invoice', { retry: false })
  if (payload.orderId === '3' && attempt === 1) throw new Error('the mail server is not there yet')
  const before = sent.get(payload.orderId)
  if (before !== undefined && before >= fence) return
  sent.set(payload.orderId, fence)
  log.info({ orderId: payload.orderId }, 'Sent')
})
