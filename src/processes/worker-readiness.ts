import type { MocaConfig } from '../config/config.ts'
import type { WorkerHealth } from '../queue/worker/worker.ts'
import type { Readiness } from '../service/health.ts'

/** A read of an idle worker waits so long for a job. */
const BLOCKED_READ_MS = 5_000

/**
 * Whether a worker works, by what it last achieved, not by what it is: a fetch answered lately (or jobs that leave no room for one),
 * and leases renewed lately. Before the first of each, its age is that of the process.
 */
export function judgeReadiness(
  health: WorkerHealth,
  config: MocaConfig,
  uptimeMs: number,
  isStopping: boolean,
): Readiness {
  const fetchAgeMs = health.lastFetchAgeMs ?? uptimeMs
  const renewalAgeMs = health.lastRenewalAgeMs ?? uptimeMs
  const fetchLimitMs = BLOCKED_READ_MS + config.redis.replyTimeoutMs
  const isBusy = health.running + health.buffered > 0
  const reasons = [
    ...(isStopping ? ['it is stopping'] : []),
    ...(health.isConnected ? [] : ['it is not connected to Redis']),
    ...(fetchAgeMs <= fetchLimitMs || isBusy ? [] : [`no fetch was answered for ${seconds(fetchAgeMs)}`]),
    ...(renewalAgeMs <= config.worker.leaseMs ? [] : [`no lease was renewed for ${seconds(renewalAgeMs)}`]),
  ]
  return { isReady: reasons.length === 0, reasons, facts: { ...health } }
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
}
