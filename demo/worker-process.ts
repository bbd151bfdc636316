import { pino } from 'pino'
import { createMoca, createWorker } from '../src/index.ts'
import { openDeliveryLedger } from './delivery-ledger.ts'
import { makeHandlers } from './handlers.ts'
import { JournaledProducer } from './journaled-producer.ts'
import { openJournal } from './journal.ts'
import { openLedger } from './ledger.ts'
import { makeRecordedHandlers } from './recorded-handlers.ts'
import type { RunDirectory } from './run-directory.ts'

/** What a worker process is told on its command line. */
export interface WorkerSettings {
  readonly name: string
  readonly namespace: string
  readonly redisUrl: string
  readonly directory: RunDirectory
}

const { name, namespace, redisUrl, directory } = JSON.parse(process.argv[2] ?? '{}') as WorkerSettings
const logger = pino({ name, base: { pid: process.pid } })

const ledger = await openLedger(directory.ledgers, name)
const deliveries = await openDeliveryLedger(directory.deliveries, name)
const journal = await openJournal(directory.journals, name)
const moca = createMoca({ namespace, redis: { url: redisUrl }, logger })
const producer = new JournaledProducer(moca, journal, name)
const worker = createWorker(moca, {
  handlers: [...makeHandlers({ ledger, producer, reportsDir: directory.reports }), ...makeRecordedHandlers(deliveries)],
  queues: {
    critical: { weight: 6, concurrency: 8 },
    default: { weight: 3, concurrency: 16 },
    long: { weight: 1, concurrency: 3 },
  },
  lease: '5s',
  sweepInterval: '1s',
})

process.once('SIGTERM', () => void stop())
await worker.start()
logger.info({ worker: worker.id }, 'Working')

/** Consumers before producers: handlers that still run may enqueue. */
async function stop(): Promise<void> {
  await worker.stop()
  await moca.close()
  await journal.close()
  await ledger.close()
  await deliveries.close()
  logger.info({}, 'Stopped')
}
