import Queue from 'bee-queue'
import type { QueueSystem } from '../system.ts'

const settings: Queue.QueueSettings = {
  getEvents: false,
  sendEvents: false,
  storeJobs: false,
  removeOnSuccess: true,
  removeOnFailure: true,
}

export const beeQueue: QueueSystem = {
  name: 'bee-queue',
  title: 'bee-queue',
  packages: ['bee-queue'],
  settings: [
    'storeJobs, getEvents and sendEvents: false, as its documentation recommends where nobody waits for results',
    'removeOnSuccess and removeOnFailure: true, so that it does not keep what it has done',
    'isWorker: false in the producer; many jobs by saveAll',
    'activateDelayedJobs: true in the worker, where there are delayed jobs',
    'checkStalledJobs is not called: its retries after a crash are switched off, which is its default',
  ],
  hasGivenIds: true,

  async openProducer({ port, queue: name }) {
    const queue = new Queue(name, { ...settings, redis: { host: '127.0.0.1', port }, isWorker: false })
    await queue.ready()
    return {
      async enqueue(payload) {
        await queue.createJob(payload).save()
      },
      async enqueueMany(payloads, { dueAtMs, hasGivenId } = {}) {
        const jobs = payloads.map((payload) => {
          const job = queue.createJob(payload)
          if (dueAtMs !== undefined) job.delayUntil(dueAtMs)
          if (hasGivenId) job.setId(`order-${payload.n}`)
          return job
        })
        const errors = await queue.saveAll(jobs)
        for (const error of errors.values()) throw error
      },
      async counts() {
        const { waiting, active, delayed } = await queue.checkHealth()
        return { waiting, active, delayed }
      },
      close: () => queue.close(),
    }
  },

  async openConsumer({ port, queue: name }, { concurrency, handler }) {
    const queue = new Queue(name, { ...settings, redis: { host: '127.0.0.1', port }, activateDelayedJobs: true })
    queue.on('error', (error) => console.error('bee-queue:', error))
    await queue.ready()
    return {
      async start() {
        queue.process(concurrency, (job) => handler(job.data))
      },
      stop: () => queue.close(5000),
    }
  },
}
