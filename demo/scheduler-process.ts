import { pino } from 'pino'
import { runSchedulerProcess } from '../src/processes/scheduler.ts'
import config from './moca.config.ts'
import type { ProcessSettings } from './demo-process.ts'

const { name, redisUrl, postgresUrl } = JSON.parse(process.argv[2] ?? '{}') as ProcessSettings
const log = pino({ name, base: { pid: process.pid } })
const stop = new AbortController()
process.once('SIGTERM', () => stop.abort())

await runSchedulerProcess({
  input: { ...config, redis: { url: redisUrl }, postgres: { url: postgresUrl } },
  log,
  stop: stop.signal,
})
log.info({}, 'Stopped')
