import type { Counts as QueueCounts } from './verdict.ts'

/** `short`: seconds, in `npm test`. `full`: minutes, by `npm run chaos`. */
export type Size = 'short' | 'full'

/** `Counts`: what its checker counts. */
export interface Outcome<Counts extends object = QueueCounts> {
  /** What was done, in numbers. */
  readonly facts: Readonly<Record<string, number>>
  /** Problems: one sentence per broken promise. */
  readonly verdict: { readonly counts: Counts; readonly problems: readonly string[] }
  /** Promises of this scenario alone that did not hold, a sentence each. */
  readonly problems?: readonly string[]
}

/** One kind of fault, played against a system under load. */
export interface Scenario<Counts extends object = QueueCounts> {
  /** File name of its result. */
  readonly name: string
  /** Heading of its part of the page. */
  readonly title: string
  /** What is done, and what must hold: for the page. */
  readonly text: string
  /** `count` overrides how often the fault is played. */
  run(size: Size, seed: number, count?: number): Promise<Outcome<Counts>>
}

/** Distribution of a count, for the facts. */
export function spread(name: string, values: readonly number[]): Record<string, number> {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
  return { [`${name}Min`]: at(0), [`${name}Median`]: at(0.5), [`${name}Max`]: at(1) }
}
