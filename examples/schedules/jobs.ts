import { defineApp, defineJob, defineSchedule } from 'mocajs'
import { z } from 'zod'

export const sendReport = defineJob({ type: 'report.send', payload: z.object({ to: z.string() }), queue: 'long' })
export const cleanUp = defineJob({ type: 'files.clean-up', payload: z.object({ olderThanDays: z.number() }) })
export const beat = defineJob({ type: 'heartbeat' })

export const schedules = [
  // At half past two in Berlin, also on the two days a year when the clocks are changed.
  defineSchedule({
    name: 'nightly-report',
    job: sendReport,
    payload: { to: 'ada@example.org' },
    cron: '30 2 * * *',
    timeZone: 'Europe/Berlin',
  }),
  // If the one before still runs, this one is left out.
  defineSchedule({ name: 'clean-up', job: cleanUp, payload: { olderThanDays: 30 }, cron: '@hourly', overlap: 'skip' }),
  // What nobody fired in time is not made up for.
  defineSchedule({ name: 'heartbeat', job: beat, payload: null, every: '1s', missed: 'skip' }),
]

export const office = defineApp({
  name: 'office',
  jobs: [sendReport, cleanUp, beat],
  schedules,
  handlers: () => import('./handlers.ts'),
})
