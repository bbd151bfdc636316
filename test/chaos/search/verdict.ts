// Pure: the promise of search indexes, checked against the tables. Imports nothing of Moca.

/** A document as the tables say it. */
export interface Wanted {
  readonly id: string
  readonly version: number
  /** Of the document that it embeds. */
  readonly countryVersion: number
}

export interface SearchEvidence {
  readonly wanted: readonly Wanted[]
  /** What the tables of the live generation have. */
  readonly found: readonly Wanted[]
  /** Committed changes. */
  readonly changes: number
  /** Generations, positions and rebuilds that should be gone: a sentence each. */
  readonly leftovers: readonly string[]
  /** Findings of a process of Moca that ended by itself, or did not go on: a sentence each. */
  readonly failures: readonly string[]
}

export interface SearchCounts {
  readonly changes: number
  /** Documents that are in the index as they are in the tables. */
  succeeded: number
  /** In the table, and not in the index. Must be 0. */
  missing: number
  /** In both, and not the same. Must be 0. */
  stale: number
  /** In the index alone. Must be 0. */
  orphaned: number
  /** What a rebuild that was killed left behind, after a later one went through. Must be 0. */
  leftovers: number
  /** Processes that ended by themselves, or did not go on. Must be 0. */
  failed: number
}

export interface SearchVerdict {
  readonly counts: SearchCounts
  /** One sentence per broken promise, at most 50. Empty = all held. */
  readonly problems: readonly string[]
}

const MOST_PROBLEMS = 50

export function judgeSearch({ wanted, found, changes, leftovers, failures }: SearchEvidence): SearchVerdict {
  const problems = [...failures, ...leftovers]
  const counts = {
    changes,
    succeeded: 0,
    missing: 0,
    stale: 0,
    orphaned: 0,
    leftovers: leftovers.length,
    failed: failures.length,
  }
  const left = new Map(found.map((document) => [document.id, document]))
  for (const { id, version, countryVersion } of wanted) {
    const document = left.get(id)
    left.delete(id)
    if (!document) {
      counts.missing++
      problems.push(`${id} is missing; version ${version} is in the table`)
    } else if (document.version !== version || document.countryVersion !== countryVersion) {
      counts.stale++
      const [is, should] = [document, { version, countryVersion }].map(
        (each) => `${each.version}/${each.countryVersion}`,
      )
      problems.push(`${id} is stale: version ${is} in the index, ${should} in the tables`)
    } else counts.succeeded++
  }
  for (const id of left.keys()) {
    counts.orphaned++
    problems.push(`${id} is in the index, and in no table`)
  }
  return { counts, problems: problems.slice(0, MOST_PROBLEMS) }
}
