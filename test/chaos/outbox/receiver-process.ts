import { createMoca, createWorker, defineSubscription, handleEvent } from '../../../src/index.ts'
import { Ledger, monotonicUs } from '../ledger.ts'
import type { Delivery } from './verdict.ts'

/** What a process is told on its command line. */
export interface ReceiverSettings {
  readonly namespace: string
  readonly redisUrl: string
  readonly postgresUrl: string
  /** Of the ledger. */
  readonly dir: string
}

const { namespace, redisUrl, postgresUrl, dir } = JSON.parse(process.argv[2] ?? '{}') as ReceiverSettings

const counted = defineSubscription({ name: 'counted', topics: ['test.counters'], retry: { delay: 100 } })

const ledger = new Ledger<Delivery>(dir)
const moca = createMoca({ namespace, redis: { url: redisUrl }, postgres: { url: postgresUrl } })
const handler = handleEvent(counted, async ({ event, job }) => {
  const { value } = event.data as { readonly value: number }
  // The key of the job is that of the subscription and the event's.
  await ledger.append({ key: (job.key ?? '').replace('counted/', ''), value, us: monotonicUs() })
})
const worker = createWorker(moca, { handlers: [handler], lease: '2s', concurrency: 50 })
await moca.events.subscribe(counted)
await worker.start()
process.send?.('ready')
