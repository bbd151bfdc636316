// Pure: the promise of the outbox, checked against what PostgreSQL says was committed and what handlers wrote down. Imports nothing of Moca.

/** A run of a handler that succeeded, as it wrote it down itself. Instants are monotonic microseconds, one clock for all processes. */
export interface Delivery {
  readonly key: string
  /** The number of the event within its key, counted under a row's lock in the transaction that recorded it. */
  readonly value: number
  readonly us: number
}

export interface OutboxEvidence {
  /** Key -> number of its last committed event: events of a key are 1, 2, 3, ... */
  readonly committed: ReadonlyMap<string, number>
  readonly deliveries: readonly Delivery[]
  /** Findings of a process of Moca that ended by itself, or did not go on: a sentence each. */
  readonly failures: readonly string[]
}

export interface OutboxCounts {
  /** Events of committed transactions. */
  recorded: number
  /** Of these, how many came to the handler. */
  succeeded: number
  /** Recorded and never handled. Must be 0. */
  lost: number
  /** Handled once more than once. At-least-once allows it. */
  repeated: number
  /** Events whose first success comes after that of a later one of their key. Must be 0. */
  outOfOrder: number
  /** Handled though no committed transaction recorded them. Must be 0. */
  neverCommitted: number
  /** Processes that ended by themselves, or did not go on. Must be 0. */
  failed: number
}

export interface OutboxVerdict {
  readonly counts: OutboxCounts
  /** One sentence per broken promise, at most 50. Empty = all held. */
  readonly problems: readonly string[]
}

const MOST_PROBLEMS = 50

export function judgeOutbox({ committed, deliveries, failures }: OutboxEvidence): OutboxVerdict {
  const firstUs = new Map<string, Map<number, number>>()
  let repeated = 0
  for (const { key, value, us } of deliveries) {
    const ofKey = firstUs.get(key) ?? new Map<number, number>()
    firstUs.set(key, ofKey)
    const known = ofKey.get(value)
    if (known !== undefined) repeated++
    if (known === undefined || us < known) ofKey.set(value, us)
  }
  const problems: string[] = failures.map((failure) => failure)
  const counts = {
    recorded: 0,
    succeeded: 0,
    lost: 0,
    repeated,
    outOfOrder: 0,
    neverCommitted: 0,
    failed: failures.length,
  }
  for (const [key, last] of committed) {
    counts.recorded += last
    let latestUs = -Infinity
    for (let value = 1; value <= last; value++) {
      const us = firstUs.get(key)?.get(value)
      if (us === undefined) {
        counts.lost++
        problems.push(`${key} ${value} was recorded and never handled`)
        continue
      }
      counts.succeeded++
      if (us < latestUs) {
        counts.outOfOrder++
        problems.push(`${key} ${value} was handled before an earlier one of its key`)
      }
      latestUs = Math.max(latestUs, us)
    }
  }
  for (const [key, ofKey] of firstUs) {
    for (const value of ofKey.keys()) {
      if (value >= 1 && value <= (committed.get(key) ?? 0)) continue
      counts.neverCommitted++
      problems.push(`${key} ${value} was handled, and no committed transaction recorded it`)
    }
  }
  return { counts, problems: problems.slice(0, MOST_PROBLEMS) }
}

/** The findings of several runs as one. */
export function addVerdicts(verdicts: readonly OutboxVerdict[]): OutboxVerdict {
  const [first, ...others] = verdicts
  if (!first) throw new Error('There is no verdict')
  const counts = { ...first.counts }
  for (const { counts: more } of others) {
    for (const name of Object.keys(counts) as (keyof OutboxCounts)[]) counts[name] += more[name]
  }
  return { counts, problems: verdicts.flatMap(({ problems }) => problems).slice(0, MOST_PROBLEMS) }
}
