import { pino } from 'pino'
import { createMoca, createWorker } from '../src/index.ts'
import { openDeliveryLedger } from './delivery-ledger.ts'
import type { ProcessSettings } from './demo-process.ts'
import { makeFireHandler } from './fire-handler.ts'
import { openFireLedger } from './fire-ledger.ts'
import { makeHandlers } from './handlers.ts'
import { JournaledProducer } from './journaled-producer.ts'
import { openJournal } from './journal.ts'
import { openLedger } from './ledger.ts'
import config from './moca.config.ts'
import { makeRecordedHandlers } from './recorded-handlers.ts'
import { CLOCK_QUEUE } from './scheduled.ts'

const { name, redisUrl, directory } = JSON.parse(process.argv[2] ?? '{}') as ProcessSettings
const logger = pino({ name, base: { pid: process.pid } })

const ledger = await openLedger(directory.ledgers, name)
const deliveries = await openDeliveryLedger(directory.deliveries, name)
const fires = await openFireLedger(directory.fires, name)
const journal = await openJournal(directory.journals, name)
const moca = createMoca({ ...config, redis: { url: redisUrl }, logger })
const producer = new JournaledProducer(moca, journal, name)
const worker = createWorker(moca, {
  handlers: [
    ...makeHandlers({ ledger, producer, reportsDir: directory.reports }),
    ...makeRecordedHandlers(deliveries),
    makeFireHandler(fires),
  ],
  queues: {
    critical: { weight: 6, concurrency: 16 },
    default: { weight: 3, concurrency: 32 },
    long: { weight: 1, concurrency: 6 },
    [CLOCK_QUEUE]: { weight: 1, concurrency: 4 },
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
  await fires.close()
  logger.info({}, 'Stopped')
}
