import { defineApp, defineDoctype, defineSchedule } from '../src/index.ts'
import { enrichCity, raiseAlert, tallyCountry, tick, updateCountry, writeReport } from './jobs.ts'
import { DOCTYPE } from './recorded.ts'
import { INTERVALS_MS } from './scheduled.ts'
import { SUBSCRIPTIONS } from './subscriptions.ts'

/** Its index holds the row's version: index and table are compared by it. */
export const City = defineDoctype({
  name: DOCTYPE,
  table: 'city',
  key: 'city_id',
  search: {
    searchable: ['name', 'country'],
    filterable: ['country', 'population', 'version'],
    sortable: ['population'],
    facets: ['country'],
  },
})

/** No instant may be passed over. */
const schedules = Object.entries(INTERVALS_MS).map(([name, every]) =>
  defineSchedule({ name, job: tick, payload: {}, every, missed: 'all' }),
)

/** What relays, schedulers and the command line know of the application. */
export const app = defineApp({
  name: 'cities',
  jobs: [enrichCity, updateCountry, raiseAlert, writeReport, tallyCountry, tick],
  subscriptions: SUBSCRIPTIONS,
  doctypes: [City],
  schedules,
  // Workers of the demo are given theirs with the ledgers that they write (worker-process.ts).
  handlers: async () => ({}),
})
