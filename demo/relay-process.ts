import { pino } from 'pino'
import { runOutboxProcess } from '../src/processes/outbox.ts'
import config from './moca.config.ts'
import type { ProcessSettings } from './demo-process.ts'

// Relays the log, and keeps the search index while no other process does.

const { name, redisUrl, postgresUrl } = JSON.parse(process.argv[2] ?? '{}') as ProcessSettings
const log = pino({ name, base: { pid: process.pid } })
const stop = new AbortController()
process.once('SIGTERM', () => stop.abort())

await runOutboxProcess({
  input: { ...config, redis: { url: redisUrl }, postgres: { url: postgresUrl } },
  log,
  stop: stop.signal,
})
log.info({}, 'Stopped')
