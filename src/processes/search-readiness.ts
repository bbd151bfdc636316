import type { SyncHealth } from '../search/search-sync.ts'
import type { Readiness } from '../service/health.ts'

/** Whether search sync works: no index fails. That others write one is no fault. */
export function judgeSearch(health: readonly SyncHealth[], isStopping: boolean): Readiness {
  const failing = health.filter(({ state }) => state === 'failing')
  const starting = health.filter(({ state }) => state === 'starting')
  const reasons = [
    ...(isStopping ? ['it is stopping'] : []),
    ...(starting.length === 0 ? [] : [`it has not looked at ${starting.map(({ index }) => index).join(', ')} yet`]),
    ...failing.map(({ index, reason }) => `index ${index} stands still: ${reason ?? 'unknown'}`),
  ]
  const facts = Object.fromEntries(health.map(({ index, state }) => [index, state]))
  return { isReady: reasons.length === 0, reasons, facts: { indexes: facts } }
}
