import { defineApp, defineJob } from 'mocajs'
import { z } from 'zod'

export const sendInvoice = defineJob({
  type: 'invoice.send',
  payload: z.object({ orderId: z.string(), amount: z.number().positive() }),
  queue: 'critical',
  timeout: '30s',
  retry: { attempts: 4, delay: '100ms' },
})

export const billing = defineApp({ name: 'billing', jobs: [sendInvoice], handlers: () => import('./handlers.ts') })
