import { handle } from 'mocajs'
import { beat, cleanUp, sendReport } from './jobs.ts'

export const sendReportHandler = handle(sendReport, ({ payload, job, log }) =>
  log.info({ to: payload.to, night: job.schedule?.scheduledFor }, 'Sent the report'),
)

export const cleanUpHandler = handle(cleanUp, ({ payload, log }) =>
  log.info({ olderThanDays: payload.olderThanDays }, 'Cleaned up'),
)

export const beatHandler = handle(beat, ({ job, log }) => log.info({ lateMs: job.schedule?.late }, 'Alive'))
