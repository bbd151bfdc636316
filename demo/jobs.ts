import { z } from 'zod'
import { defineJob } from '../src/index.ts'
import { ENRICH_ATTEMPTS, TALLY } from './recorded.ts'
import { CLOCK_QUEUE, TICK } from './scheduled.ts'

// The contracts, shared by the importer and the workers.

/** `null` coordinates pass: the source has such rows. That they cannot be enriched is found out by the handler. */
export const cityRow = z.object({
  cityId: z.number().int().positive(),
  name: z.string().min(1),
  country: z.string().regex(/^[A-Z]{2}$/),
  population: z.number().int().nonnegative(),
  /** Longitude, latitude. */
  coordinates: z.tuple([z.number(), z.number()]).nullable(),
})

export type CityRow = z.infer<typeof cityRow>

export const enrichCity = defineJob({
  type: 'city.enrich',
  payload: cityRow,
  queue: 'default',
  timeout: '30s',
  retry: { attempts: ENRICH_ATTEMPTS, backoff: 'fixed', delay: '400ms' },
})

/** One after another per country, in the order of enqueuing: enqueued with the country's code as its key. */
export const updateCountry = defineJob({
  type: 'country.update',
  payload: z.object({ country: z.string(), subject: z.string() }),
  queue: 'default',
  timeout: '30s',
  retry: { attempts: 6, backoff: 'fixed', delay: '200ms' },
})

export const raiseAlert = defineJob({
  type: 'alert.raise',
  payload: z.object({ cityId: z.number().int(), name: z.string(), population: z.number().int() }),
  queue: 'critical',
  timeout: '30s',
  retry: { attempts: 6, backoff: 'fixed', delay: '200ms' },
})

/** The rows travel with the job: large countries are beyond 16 KiB, where a payload is stored beside its stream. */
export const writeReport = defineJob({
  type: 'report.write',
  payload: z.object({ country: z.string(), cities: z.array(z.tuple([z.string(), z.number()])) }),
  queue: 'long',
  timeout: '60s',
  retry: { attempts: 6, backoff: 'fixed', delay: '500ms' },
})

/** Recorded in transactions: one after another per country, in the order of commits. */
export const tallyCountry = defineJob({
  type: TALLY,
  payload: z.object({ subject: z.string(), number: z.number().int() }),
  queue: 'default',
  timeout: '30s',
  retry: { attempts: 6, backoff: 'fixed', delay: '200ms' },
})

/** Enqueued by schedules. */
export const tick = defineJob({
  type: TICK,
  payload: z.object({}),
  queue: CLOCK_QUEUE,
  timeout: '30s',
  retry: { attempts: 6, backoff: 'fixed', delay: '200ms' },
})

/** A job's name in the words of the application. Known before the job has an id; equal for every try to enqueue it. */
export const business = {
  enrich: (cityId: number) => `enrich:${cityId}`,
  update: (country: string, subject: string) => `update:${country}:${subject}`,
  alert: (cityId: number) => `alert:${cityId}`,
  report: (country: string) => `report:${country}`,
}

export const ALERT_FROM_POPULATION = 200_000
export const UPDATE_FROM_POPULATION = 10_000
