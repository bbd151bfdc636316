import type { FoundJob } from '../raw-walk.ts'
import { TALLY } from '../recorded.ts'
import { TICK } from '../scheduled.ts'

/** Jobs of one queue that no producer of the demo enqueued, by the word of handlers and of Redis. */
export interface IndirectJobs {
  readonly accepted: number
  readonly completed: number
}

/** What a handler wrote down of such a job. */
export interface IndirectLine {
  readonly id: string
  readonly queue: string
  readonly outcome: 'succeeded' | 'failed'
}

/** Whether a job in Redis came by the log, or of a schedule. */
export function isIndirect({ type }: Pick<FoundJob, 'type'>): boolean {
  return type.startsWith('event:') || type === TALLY || type === TICK
}

/** By queue. What never came is judged with deliveries and fires. */
export function indirectJobs(
  ledger: readonly IndirectLine[],
  places: readonly FoundJob[],
): ReadonlyMap<string, IndirectJobs> {
  const standing = places.filter(isIndirect)
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
