import { pino } from 'pino'
import { runOutboxProcess } from '../src/processes/outbox.ts'
import type { RunDirectory } from './run-directory.ts'

/** What a relay process is told on its command line. */
export interface RelaySettings {
  readonly name: string
  readonly namespace: string
  readonly redisUrl: string
  readonly postgresUrl: string
  readonly directory: RunDirectory
}

const { name, namespace, redisUrl, postgresUrl } = JSON.parse(process.argv[2] ?? '{}') as RelaySettings
const log = pino({ name, base: { pid: process.pid } })
const stop = new AbortController()
process.once('SIGTERM', () => stop.abort())

await runOutboxProcess({
  input: { namespace, redis: { url: redisUrl }, postgres: { url: postgresUrl }, outbox: { lease: '3s' } },
  log,
  stop: stop.signal,
})
log.info({}, 'Stopped')
