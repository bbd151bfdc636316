import type { SystemName } from './system.ts'

/** What Moca has promised itself for one metric. */
export interface Target {
  readonly scenario: string
  readonly metric: string
  readonly atLeast: Bound
  readonly goal: readonly Bound[]
  /**
   * The bare loop against BullMQ, measured when the goals were set. A loop that reaches less than 80 % of it would be a
   * weak limit to compare with.
   */
  readonly bareLoopRatio?: number
}

export type Bound =
  /** At least `times` the rate of the other, or at most `times` its latency. */
  { readonly times: number; readonly of: Exclude<SystemName, 'moca'> } | { readonly value: number }

const bullmq = (times: number): Bound => ({ times, of: 'bullmq' })
const bare = (times: number): Bound => ({ times, of: 'bare-streams' })
const value = (value: number): Bound => ({ value })

export const targets: readonly Target[] = [
  {
    scenario: 'drain-100',
    metric: 'rate',
    atLeast: bullmq(5),
    goal: [bullmq(8), bare(0.8)],
    bareLoopRatio: 158.5 / 13.9,
  },
  { scenario: 'drain-1', metric: 'rate', atLeast: bullmq(3), goal: [bullmq(5)], bareLoopRatio: 135 / 3.4 },
  { scenario: 'steady-state', metric: 'rate', atLeast: bullmq(5), goal: [bullmq(10)], bareLoopRatio: 122 / 8.6 },
  { scenario: 'enqueue-bulk', metric: 'rate', atLeast: bullmq(5), goal: [bullmq(7)], bareLoopRatio: 175 / 22.9 },
  { scenario: 'enqueue-100-in-flight', metric: 'rate', atLeast: bullmq(3), goal: [bare(1)], bareLoopRatio: 111 / 30 },
  { scenario: 'latency', metric: 'p50', atLeast: bullmq(0.5), goal: [value(0.3)], bareLoopRatio: 0.23 / 1.1 },
  { scenario: 'latency', metric: 'p99', atLeast: bullmq(0.5), goal: [value(1.5)], bareLoopRatio: 1.0 / 7.4 },
  { scenario: 'due-at-once', metric: 'p99', atLeast: bullmq(0.4), goal: [bare(1.5)], bareLoopRatio: 120 / 1123 },
  { scenario: 'memory', metric: 'direct', atLeast: value(300), goal: [value(260)], bareLoopRatio: 218 / 845 },
  { scenario: 'memory', metric: 'givenId', atLeast: value(500), goal: [value(420)] },
  { scenario: 'memory', metric: 'promoted', atLeast: value(500), goal: [value(420)] },
]

export type MedianOf = (system: SystemName) => number | undefined

/** Whether `measured` keeps the bound; `undefined` when the system it is compared with was not measured. */
export function keeps(
  bound: Bound,
  measured: number,
  isHigherBetter: boolean,
  medianOf: MedianOf,
): boolean | undefined {
  const limit = 'value' in bound ? bound.value : times(bound.times, medianOf(bound.of))
  if (limit === undefined) return undefined
  return isHigherBetter ? measured >= limit : measured <= limit
}

/** The bare loop's share of what it reached when the goals were set: 1 = as good, more = better. */
export function bareLoopStrength(target: Target, isHigherBetter: boolean, medianOf: MedianOf): number | undefined {
  const loop = medianOf('bare-streams')
  const other = medianOf('bullmq')
  if (loop === undefined || other === undefined || target.bareLoopRatio === undefined) return undefined
  const strength = loop / other / target.bareLoopRatio
  return isHigherBetter ? strength : 1 / strength
}

function times(factor: number, median: number | undefined): number | undefined {
  return median === undefined ? undefined : factor * median
}
