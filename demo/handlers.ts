import { setTimeout as wait } from 'node:timers/promises'
import { type HandlerContext, handle, type Job, type JobHandler } from '../src/index.ts'
import { citySubject } from './cities.ts'
import {
  ALERT_FROM_POPULATION,
  business,
  type CityRow,
  enrichCity,
  raiseAlert,
  UPDATE_FROM_POPULATION,
  updateCountry,
  writeReport,
} from './jobs.ts'
import type { JournaledProducer } from './journaled-producer.ts'
import type { Ledger, LedgerLine } from './ledger.ts'
import { monotonicUs } from './monotonic.ts'
import { saveReport } from './reports.ts'

export interface HandlerDeps {
  readonly ledger: Ledger
  readonly producer: JournaledProducer
  readonly reportsDir: string
}

/** The work of all workers. Waits stand for the outside systems that a handler mostly waits for: they cost no CPU here either. */
export function makeHandlers({ ledger, producer, reportsDir }: HandlerDeps): JobHandler[] {
  const record = recorder(ledger)
  return [
    record(
      enrichCity,
      (row) => business.enrich(row.cityId),
      async ({ payload }) => {
        locate(payload)
        await wait(4 + (payload.cityId % 8)) // the geocoder
        await enqueueFollowUps(producer, payload)
      },
    ),

    record(
      updateCountry,
      ({ country, subject }) => business.update(country, subject),
      async ({ payload, attempt }) => {
        // Some fail once: the key must stay held until the retry is through.
        if (attempt === 1 && sumOfBytes(payload.subject) % 40 === 0) throw new Error('The statistics service is busy')
        await wait(1)
      },
    ),

    record(
      raiseAlert,
      ({ cityId }) => business.alert(cityId),
      async () => {
        await wait(2) // the message service
      },
    ),

    // Does not look at `signal`, on purpose: a worker that was stopped past its lease goes on, writes a report that is not
    // valid any more (its fence is too low), and really tries to hand in a stale result.
    record(
      writeReport,
      ({ country }) => business.report(country),
      async ({ payload, fence }) => {
        const { country, cities } = payload
        let population = 0
        let largest = cities[0]
        for (let i = 0; i < Math.max(cities.length, 500); i += 100) {
          for (const city of cities.slice(i, i + 100)) {
            population += city[1]
            if (largest && city[1] > largest[1]) largest = city
          }
          await wait(60) // the typesetter
        }
        await saveReport(reportsDir, country, fence, { cities: cities.length, population, largest: largest?.[0] ?? '' })
      },
    ),
  ]
}

/** Binds work to a job so that each attempt ends with a line in the ledger, on the disk before Moca hears of the outcome. */
function recorder(ledger: Ledger) {
  return <Input, Output>(
    job: Job<Input, Output>,
    name: (payload: Output) => string,
    work: (context: HandlerContext<Output>) => Promise<void>,
  ): JobHandler =>
    handle(job, async (context) => {
      const write = (rest: Pick<LedgerLine, 'outcome' | 'error'>) =>
        ledger.append({
          id: context.job.id,
          business: name(context.payload),
          queue: context.job.queue,
          key: context.job.key,
          fence: String(context.fence),
          attempt: context.attempt,
          pid: process.pid,
          us: monotonicUs(),
          ...rest,
        })
      try {
        await work(context)
      } catch (error) {
        await write({ outcome: 'failed', error: String(error) })
        throw error
      }
      await write({ outcome: 'succeeded' })
    })
}

/** Zone and hemisphere of a city. Throws for rows whose coordinates cannot be. */
function locate(row: CityRow): { zone: number; hemisphere: 'north' | 'south' } {
  if (!row.coordinates) throw new Error(`${row.name} (${row.cityId}) has no coordinates`)
  const [longitude, latitude] = row.coordinates
  if (Math.abs(latitude) > 90) throw new RangeError(`${row.name} (${row.cityId}) lies at latitude ${latitude}`)
  return { zone: Math.round(longitude / 15), hemisphere: latitude < 0 ? 'south' : 'north' }
}

async function enqueueFollowUps(producer: JournaledProducer, row: CityRow): Promise<void> {
  const { cityId, country, name, population } = row
  if (population >= ALERT_FROM_POPULATION) {
    // The greatest at once, the others gathered for a moment.
    const delay = population >= 1_000_000 ? {} : { delayMs: 1_500 }
    await producer.enqueueMany(raiseAlert, [
      { business: business.alert(cityId), payload: { cityId, name, population }, ...delay },
    ])
  }
  if (population >= UPDATE_FROM_POPULATION) {
    const subject = citySubject(cityId)
    await producer.enqueueMany(updateCountry, [
      { business: business.update(country, subject), payload: { country, subject }, key: country },
    ])
  }
}

function sumOfBytes(text: string): number {
  return Buffer.from(text).reduce((sum, byte) => sum + byte, 0)
}
