import { silentLogger } from '../logger.ts'
import { Retention } from '../outbox/retention.ts'
import type { Database } from '../postgres/database.ts'
import { type Diagnosis, problem } from './diagnosis.ts'

export interface RetentionSettings {
  readonly ageMs: number
  readonly bytes: number | undefined
}

/** Whether days of the log that are due to be dropped can be. */
export async function checkRetention(
  database: Database,
  schema: string,
  { ageMs, bytes }: RetentionSettings,
): Promise<Diagnosis[]> {
  const kept = await new Retention({ database, schema, ageMs, bytes, log: silentLogger }).review(database)
  return kept.map(({ number, reason }) =>
    problem(
      `Partition ${number} of the log is due to be dropped, and must stay: ${reason}.`,
      reason.startsWith('open')
        ? 'End the transaction that is open so long (pg_stat_activity).'
        : 'See moca outbox status: run relays, free parked keys.',
    ),
  )
}
