import type { DeliveryLine } from '../delivery-ledger.ts'
import type { FoundJob } from '../raw-walk.ts'
import { TALLY } from '../recorded.ts'

/** Jobs of one queue that came by the log, by the word of handlers and of Redis. What never came is judged with the deliveries. */
export interface RelayedJobs {
  readonly accepted: number
  readonly completed: number
}

/** Whether a job in Redis came by the log. */
export function isRelayed({ type }: Pick<FoundJob, 'type'>): boolean {
  return type.startsWith('event:') || type === TALLY
}

/** By queue. */
export function relayedJobs(
  ledger: readonly DeliveryLine[],
  places: readonly FoundJob[],
): ReadonlyMap<string, RelayedJobs> {
  const standing = places.filter(isRelayed)
  const isStanding = new Set(standing.map(({ id }) => id))
  const queues = new Map<string, { accepted: Set<string>; completed: Set<string> }>()
  const of = (queue: string) => {
    const ids = queues.get(queue) ?? { accepted: new Set<string>(), completed: new Set<string>() }
    queues.set(queue, ids)
    return ids
  }
  for (const { id, queue } of standing) of(queue).accepted.add(id)
  for (const { id, queue, outcome } of ledger) {
    of(queue).accepted.add(id)
    if (outcome === 'succeeded' && !isStanding.has(id)) of(queue).completed.add(id)
  }
  return new Map(
    [...queues].map(([name, { accepted, completed }]) => [
      name,
      { accepted: accepted.size, completed: completed.size },
    ]),
  )
}
