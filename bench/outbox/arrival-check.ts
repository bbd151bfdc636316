export interface ArrivalVerdict {
  readonly expected: number
  /** Different events that arrived. */
  readonly arrived: number
  readonly missing: number
  /** Arrivals beyond the first of an event. */
  readonly repeated: number
  /** Events that arrived before an earlier one of their key. */
  readonly outOfOrder: number
  /** Arrivals of events that nobody committed: they were rolled back, or never recorded. */
  readonly unknown: number
}

/**
 * Compares what arrived with what was committed. A key's events are numbered 1, 2, 3, ... under the lock of a row that the same transaction
 * raised, so the counters say what was committed, and in which order.
 */
export class ArrivalCheck {
  readonly #counters: ReadonlyMap<string, number>
  /** By key: which numbers have arrived, and the highest. */
  readonly #seen = new Map<string, { readonly numbers: Set<number>; highest: number }>()
  #arrived = 0
  #repeated = 0
  #outOfOrder = 0
  #unknown = 0

  /** `counters`: key -> number of its last committed event. */
  constructor(counters: ReadonlyMap<string, number>) {
    this.#counters = counters
  }

  /** In the order of arrival. */
  record(key: string, n: number): void {
    if (!(n >= 1 && n <= (this.#counters.get(key) ?? 0))) {
      this.#unknown++
      return
    }
    const seen = this.#seen.get(key) ?? { numbers: new Set(), highest: 0 }
    this.#seen.set(key, seen)
    if (seen.numbers.has(n)) {
      this.#repeated++
      return
    }
    seen.numbers.add(n)
    this.#arrived++
    if (n < seen.highest) this.#outOfOrder++
    else seen.highest = n
  }

  verdict(): ArrivalVerdict {
    let expected = 0
    for (const count of this.#counters.values()) expected += count
    return {
      expected,
      arrived: this.#arrived,
      missing: expected - this.#arrived,
      repeated: this.#repeated,
      outOfOrder: this.#outOfOrder,
      unknown: this.#unknown,
    }
  }
}

/** Each once, and in order. */
export function isExact({ missing, repeated, outOfOrder, unknown }: ArrivalVerdict): boolean {
  return missing + repeated + outOfOrder + unknown === 0
}
