import { createMoca, createWorker, defineJob, handle } from '../../../src/index.ts'
import { Ledger } from '../ledger.ts'
import type { Tick } from './verdict.ts'

/** What a process is told on its command line. */
export interface TickSettings {
  readonly namespace: string
  readonly redisUrl: string
  /** Of the ledger. */
  readonly dir: string
}

const { namespace, redisUrl, dir } = JSON.parse(process.argv[2] ?? '{}') as TickSettings

const tick = defineJob({ type: 'tick' })
const ledger = new Ledger<Tick>(dir)
const moca = createMoca({ namespace, redis: { url: redisUrl } })
const handler = handle(tick, async ({ job, attempt }) => {
  if (!job.schedule) throw new Error(`Job ${job.id} comes of no schedule`)
  const { name, scheduledFor } = job.schedule
  const instantMs = scheduledFor.getTime()
  await ledger.append({ schedule: name, instantMs, jobId: job.id, attempt, lateMs: Date.now() - instantMs })
})
const worker = createWorker(moca, { handlers: [handler], lease: '2s', concurrency: 50 })
await worker.start()
process.send?.('ready')
