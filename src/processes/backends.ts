import type { MocaConfig } from '../config/config.ts'
import type { Logger } from '../logger.ts'
import { describePostgresUrl } from '../postgres/connection.ts'
import { describeUrl } from '../redis/connection.ts'

/** What needs PostgreSQL. */
const WITHOUT_POSTGRES = ['recording in transactions', 'capture', 'history and replay of events'] as const

/** Says at start-up which server does what, and what is therefore not available. */
export function tellBackends({ redis, postgres }: MocaConfig, log: Logger): void {
  const redisAt = describeUrl(redis.url)
  if (postgres.url !== undefined) {
    const facts = { redis: redisAt, postgres: describePostgresUrl(postgres.url) }
    log.info(facts, 'Redis has jobs, and publishes events; PostgreSQL has the outbox and the history of events')
    return
  }
  log.info(
    { redis: redisAt, unavailable: WITHOUT_POSTGRES },
    `Redis has jobs, and publishes events. There is no PostgreSQL (postgres.url, DATABASE_URL): not available are ${WITHOUT_POSTGRES.join(', ')}`,
  )
}
