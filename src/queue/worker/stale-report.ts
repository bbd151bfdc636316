import { formatJobId } from '../../job/job-id.ts'
import type { Logger } from '../../logger.ts'
import { type Attempt, attemptNumber } from './attempt.ts'
import { type EntryOptions, parseOptions } from '../entry.ts'
import { queueKey, type StreamLetter, streamKey } from '../keys.ts'
import type { NamespaceConnection } from '../namespace.ts'

export interface StaleReportDeps {
  readonly leaseMs: number
  readonly connect: () => Promise<NamespaceConnection>
  readonly log: Logger
}

/** Logs that a result was refused: who took the job over and when, as far as the server still knows. The job may have ended since. */
export async function reportStale(attempt: Attempt, { leaseMs, connect, log }: StaleReportDeps): Promise<void> {
  const facts = {
    jobId: formatJobId(attempt.lane.queue, attempt.place),
    attempt: attemptNumber(attempt),
    entry: attempt.entry,
    leaseMs,
  }
  const rescue = await findRescue(attempt, connect).catch(() => undefined)
  log.warn(
    { ...facts, takenBy: rescue?.rb, takenAt: rescue?.ra === undefined ? undefined : new Date(rescue.ra) },
    'The result of a stale attempt was refused: the job had been taken over (setting: worker.lease)',
  )
}

async function findRescue(
  { lane, place }: Attempt,
  connect: StaleReportDeps['connect'],
): Promise<EntryOptions | undefined> {
  const { connection, prefix } = await connect()
  const at = await connection.send<string | null>(['HGET', queueKey(prefix, lane.queue, 'where'), place])
  if (at === null) return undefined
  const colon = at.lastIndexOf(':')
  const key = streamKey(prefix, lane.queue, at.slice(0, colon) as StreamLetter)
  const entry = at.slice(colon + 1)
  const [found] = await connection.send<[string, string[]][]>(['XRANGE', key, entry, entry])
  return parseOptions(found?.[1][3] ?? '')
}
