import { type BulkJobOptions, type JobsOptions, Queue, Worker } from 'bullmq'
import type { QueueSystem } from '../system.ts'

const jobOptions: JobsOptions = { removeOnComplete: true, removeOnFail: true }

export const bullmq: QueueSystem = {
  name: 'bullmq',
  title: 'BullMQ',
  packages: ['bullmq', 'ioredis'],
  settings: [
    'removeOnComplete and removeOnFail: true, so that it does not keep what it has done',
    'many jobs by addBulk, as its documentation recommends',
    'streams.events.maxLen: 100; it cannot be told to send no events',
  ],
  hasGivenIds: true,

  async openProducer({ port, queue: name }) {
    const queue = new Queue(name, {
      connection: { host: '127.0.0.1', port },
      defaultJobOptions: jobOptions,
      streams: { events: { maxLen: 100 } },
    })
    await queue.waitUntilReady()
    return {
      async enqueue(payload) {
        await queue.add('noop', payload)
      },
      async enqueueMany(payloads, { dueAtMs, hasGivenId } = {}) {
        const shared: BulkJobOptions | undefined = dueAtMs === undefined ? undefined : { delay: dueAtMs - Date.now() }
        await queue.addBulk(
          payloads.map((payload) => {
            const opts = hasGivenId ? { ...shared, jobId: `order-${payload.n}` } : shared
            return opts ? { name: 'noop', data: payload, opts } : { name: 'noop', data: payload }
          }),
        )
      },
      async counts() {
        const { wait = 0, active = 0, delayed = 0 } = await queue.getJobCounts('wait', 'active', 'delayed')
        return { waiting: wait, active, delayed }
      },
      close: () => queue.close(),
    }
  },

  async openConsumer({ port, queue: name }, { concurrency, handler }) {
    const worker = new Worker(name, (job) => handler(job.data), {
      connection: { host: '127.0.0.1', port },
      concurrency,
      autorun: false,
      removeOnComplete: { count: 0 },
      removeOnFail: { count: 0 },
    })
    worker.on('error', (error) => console.error('bullmq:', error))
    await worker.waitUntilReady()
    return {
      async start() {
        void worker.run()
      },
      stop: () => worker.close(),
    }
  },
}
