/** What Moca has promised itself for one metric. */
export interface Target {
  readonly scenario: string
  readonly metric: string
  readonly atLeast: readonly Bound[]
  readonly goal: readonly Bound[]
}

/** At least the value of a rate, at most that of anything else; `timesRival`: so many times the rate of the best rival. */
export type Bound = { readonly value: number } | { readonly timesRival: number }

const value = (value: number): Bound => ({ value })

export const targets: readonly Target[] = [
  { scenario: 'drain', metric: 'rate', atLeast: [value(20_000), { timesRival: 5 }], goal: [value(50_000)] },
  { scenario: 'killed', metric: 'rate', atLeast: [value(20_000)], goal: [value(50_000)] },
  { scenario: 'sustained', metric: 'rate', atLeast: [value(20_000), { timesRival: 5 }], goal: [value(50_000)] },
  { scenario: 'latency', metric: 'p50', atLeast: [value(20)], goal: [] },
  { scenario: 'latency', metric: 'p99', atLeast: [value(50)], goal: [] },
  { scenario: 'idle', metric: 'share', atLeast: [value(1)], goal: [] },
  { scenario: 'record', metric: 'batch', atLeast: [value(60)], goal: [] },
]

/** Whether what was measured keeps the bound; `undefined` where it is compared with a rival that was not measured. */
export function keeps(
  bound: Bound,
  measured: number,
  isRate: boolean,
  timesRival: number | undefined,
): boolean | undefined {
  if ('timesRival' in bound) return timesRival === undefined ? undefined : timesRival >= bound.timesRival
  return isRate ? measured >= bound.value : measured <= bound.value
}
