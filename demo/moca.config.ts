import { defineConfig } from '../src/index.ts'
import { app } from './app.ts'
import { CLOCK_QUEUE } from './scheduled.ts'

// Of all processes of the demo, and of commands that look around in it (`--config demo/moca.config.ts`). Where the servers are say
// REDIS_URL and DATABASE_URL.

export default defineConfig({
  namespace: 'demo',
  apps: [app],
  queues: { [CLOCK_QUEUE]: {} },
  outbox: { lease: '3s' },
  search: { lease: '3s' },
})
