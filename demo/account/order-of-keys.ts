import type { AcceptedJob } from './accepted-jobs.ts'
import type { LedgerLine } from '../ledger.ts'

export interface OutOfOrder {
  readonly job: AcceptedJob
  /** Was accepted later and succeeded sooner. */
  readonly later: AcceptedJob
}

/** What of a handler's line tells whether it is stale. */
type Attempt = Pick<LedgerLine, 'id' | 'queue' | 'key' | 'fence' | 'us'>

/** Lines written under a fence when a higher one of the same job, or of the same key, was already at work: they count for nothing. */
export function staleLines<Line extends Attempt>(ledger: readonly Line[]): Set<Line> {
  const stale = new Set<Line>()
  const highest = new Map<string, bigint>()
  for (const line of ledger.toSorted((a, b) => a.us - b.us)) {
    const fence = BigInt(line.fence)
    const names = [line.id, ...(line.key === undefined ? [] : [`${line.queue} ${line.key}`])]
    if (names.some((name) => fence < (highest.get(name) ?? 0n))) stale.add(line)
    for (const name of names) if (fence > (highest.get(name) ?? 0n)) highest.set(name, fence)
  }
  return stale
}

/** Jobs of a key whose first success (stale lines left out) comes after that of a job accepted later. */
export function outOfOrder(jobs: Iterable<AcceptedJob>, ledger: readonly LedgerLine[]): OutOfOrder[] {
  const firstSuccess = firstSuccesses(ledger)
  // The place of a delayed job in its key's order is decided when it is due; the producer cannot know it.
  const keyed = [...jobs].filter((job) => job.key !== undefined && !job.isDelayed && firstSuccess.has(job.id))
  const found: OutOfOrder[] = []
  for (const sameKey of Map.groupBy(keyed, (job) => `${job.queue} ${job.key}`).values()) {
    const inOrderOfSuccess = sameKey.toSorted((a, b) => (firstSuccess.get(a.id) ?? 0) - (firstSuccess.get(b.id) ?? 0))
    found.push(...overtaken(inOrderOfSuccess))
  }
  return found
}

function firstSuccesses(ledger: readonly LedgerLine[]): Map<string, number> {
  const stale = staleLines(ledger)
  const first = new Map<string, number>()
  for (const line of ledger) {
    if (line.outcome !== 'succeeded' || stale.has(line)) continue
    first.set(line.id, Math.min(line.us, first.get(line.id) ?? Number.POSITIVE_INFINITY))
  }
  return first
}

/**
 * One job was accepted before another when its call was answered before the other's call began, or when it stood before it in
 * the same call. Of calls that overlap, nobody can say which came first.
 */
function overtaken(inOrderOfSuccess: readonly AcceptedJob[]): OutOfOrder[] {
  const found: OutOfOrder[] = []
  let latestBegun: AcceptedJob | undefined
  const lastOfCall = new Map<string, AcceptedJob>()
  for (const job of inOrderOfSuccess) {
    const sameCall = lastOfCall.get(job.call)
    if (latestBegun && job.toUs < latestBegun.fromUs) found.push({ job, later: latestBegun })
    else if (sameCall && job.position < sameCall.position) found.push({ job, later: sameCall })
    if (!latestBegun || job.fromUs > latestBegun.fromUs) latestBegun = job
    if (!sameCall || job.position > sameCall.position) lastOfCall.set(job.call, job)
  }
  return found
}
