/** Median, percentiles and spread of benchmark samples. Pure; every function leaves its input as it is. */
export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
  readonly samples: number
}

export function median(values: Iterable<number>): number {
  const sorted = ascending(values)
  const middle = sorted.length >> 1
  if (sorted.length % 2 === 1) return sorted[middle] as number
  return ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2
}

/** The nearest-rank percentile: the smallest value that at least `share` (0..1) of the values do not exceed. */
export function percentile(values: Iterable<number>, share: number): number {
  if (!(share >= 0 && share <= 1)) throw new RangeError(`share must be within 0..1, got ${share}`)
  const sorted = ascending(values)
  const rank = Math.max(1, Math.ceil(share * sorted.length))
  return sorted[rank - 1] as number
}

export function spread(values: Iterable<number>): Spread {
  const sorted = ascending(values)
  return {
    median: median(sorted),
    min: sorted[0] as number,
    max: sorted.at(-1) as number,
    samples: sorted.length,
  }
}

function ascending(values: Iterable<number>): Float64Array {
  const sorted = Float64Array.from(values).toSorted()
  if (sorted.length === 0) throw new RangeError('no values to summarise')
  if (sorted.some(Number.isNaN)) throw new RangeError('one of the values is NaN')
  return sorted
}
