import { z } from 'zod'
import { createMoca, createWorker, defineJob, handle } from '../../../src/index.ts'
import type { Payload } from '../payload.ts'
import type { QueueSystem } from '../system.ts'

const job = defineJob({ type: 'bench.noop', payload: z.object({ n: z.number(), text: z.string() }) })

export const moca: QueueSystem = {
  name: 'moca',
  title: 'Moca',
  packages: ['mocajs', '@redis/client', 'zod'],
  settings: [
    'none: leases, fencing, retries and history as they come, the payload checked by a zod schema at both ends',
    'many jobs by enqueueMany; a given id by idempotencyKey',
  ],
  hasGivenIds: true,

  async openProducer({ port, queue: namespace }) {
    const client = createMoca({ namespace, redis: { url: `redis://127.0.0.1:${port}` } })
    await client.connect()
    return {
      async enqueue(payload) {
        await client.queue.enqueue(job, payload)
      },
      async enqueueMany(payloads, { dueAtMs, hasGivenId } = {}) {
        const options = (payload: Payload) => ({
          payload,
          ...(dueAtMs === undefined ? {} : { runAt: new Date(dueAtMs) }),
          ...(hasGivenId ? { idempotencyKey: `order-${payload.n}` } : {}),
        })
        const isPlain = dueAtMs === undefined && !hasGivenId
        await client.queue.enqueueMany(job, payloads.map(isPlain ? (payload) => ({ payload }) : options))
      },
      async counts() {
        const { default: open } = await client.queue.counts(['default'])
        return { waiting: open?.waiting ?? 0, active: open?.active ?? 0, delayed: open?.delayed ?? 0 }
      },
      close: () => client.close(),
    }
  },

  async openConsumer({ port, queue: namespace }, { concurrency, handler }) {
    const client = createMoca({ namespace, redis: { url: `redis://127.0.0.1:${port}` } })
    await client.connect()
    const worker = createWorker(client, {
      handlers: [handle(job, ({ payload }) => handler(payload))],
      concurrency,
    })
    return {
      start: () => worker.start(),
      async stop() {
        await worker.stop()
        await client.close()
      },
    }
  },
}
