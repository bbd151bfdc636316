import { defineApp, defineConfig } from '../../../src/index.ts'
import { block, gate, long, poison, work } from '../jobs.ts'
import { queuesOf, type WorkerProcessOptions } from '../worker-options.ts'

// What `moca worker start` reads in the chaos runs.

const options = JSON.parse(process.env.CHAOS_WORKER ?? '{}') as WorkerProcessOptions
const { url, namespace, replyTimeoutMs, worker } = options
const app = defineApp({
  name: 'chaos',
  jobs: [work, long, gate, block, poison],
  handlers: () => import('./handlers.ts'),
})

export default defineConfig({
  namespace,
  redis: { url, replyTimeout: replyTimeoutMs, connectTimeout: replyTimeoutMs },
  queues: queuesOf(options),
  worker,
  apps: [app],
})
