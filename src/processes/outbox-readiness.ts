import type { RelayHealth } from '../outbox/relay.ts'
import type { Readiness } from '../service/health.ts'

/** An outage of this length is one. */
const LIMIT_MS = 15_000

/**
 * Whether a relay works, by what it last achieved: it looked at the log lately, and none of its lanes stands still. Before its first look
 * the age is that of the process. Having no lanes is no fault: others have them.
 */
export function judgeRelay(health: RelayHealth, uptimeMs: number, isStopping: boolean): Readiness {
  const lastLookAgeMs = Math.min(health.lastPassAgoMs, uptimeMs)
  const standing = health.lanes.filter(({ standstill }) => standstill !== undefined)
  const reasons = [
    ...(isStopping ? ['it is stopping'] : []),
    ...(lastLookAgeMs <= LIMIT_MS ? [] : [`it has not looked at the log for ${(lastLookAgeMs / 1000).toFixed(1)} s`]),
    ...(standing.length === 0
      ? []
      : [
          `${standing.length} lanes stand still: ${[...new Set(standing.map(({ standstill }) => standstill?.reason))].join(', ')}`,
        ]),
  ]
  return {
    isReady: reasons.length === 0,
    reasons,
    facts: { lastLookAgeMs, lanes: health.lanes.length, standing: standing.length },
  }
}
