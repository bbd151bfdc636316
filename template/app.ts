import { defineApp, defineJob, defineSubscription } from 'mocajs'
import { z } from 'zod'

// Contracts: what is shared by those who enqueue or record and those who handle. No worker code.

/** A job that is enqueued with an order, in its transaction. */
export const sendReceipt = defineJob({
  type: 'receipt.send',
  payload: z.object({ orderId: z.string() }),
  retry: { attempts: 5, delay: '1s' },
})

/** Gets an event for each order that was placed, in order for each of them. */
export const stock = defineSubscription({ name: 'stock', topics: ['shop.orders'] })

export const shop = defineApp({
  name: 'shop',
  jobs: [sendReceipt],
  subscriptions: [stock],
  handlers: () => import('./handlers.ts'),
})
