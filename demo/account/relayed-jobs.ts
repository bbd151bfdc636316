import type { DeliveryLine } from '../delivery-ledger.ts'
import type { FoundJob } from '../raw-walk.ts'
import { TALLY } from '../recorded.ts'
import { type Committed, QUEUES } from './committed.ts'
import { nameOf } from './judge-log.ts'

/** Jobs of one queue that came by the log. */
export interface RelayedJobs {
  accepted: number
  completed: number
}

/** Whether a job in Redis came by the log. */
export function isRelayed({ type }: FoundJob): boolean {
  return type.startsWith('event:') || type === TALLY
}

/** How many jobs there must be, by queue: one for each that a recorded event is for, and for each recorded job. */
export function relayedJobs(
  { recorded }: Committed,
  ledger: readonly DeliveryLine[],
  places: readonly FoundJob[],
): Map<string, RelayedJobs> {
  const standing = new Set(places.map(({ id }) => id))
  const ended = ledger.filter(({ outcome, id }) => outcome === 'succeeded' && !standing.has(id))
  const done = new Set(ended.map((line) => `${line.route} ${nameOf(line)}`))
  const queues = new Map<string, RelayedJobs>()
  for (const item of recorded) {
    for (const route of item.routes) {
      const name = QUEUES[route] ?? ''
      const queue = queues.get(name) ?? { accepted: 0, completed: 0 }
      queues.set(name, queue)
      queue.accepted++
      if (done.has(`${route} ${nameOf(item)}`)) queue.completed++
    }
  }
  return queues
}
