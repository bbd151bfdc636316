import type { LossDetector } from './loss-detector.ts'
import type { NamespaceConnection } from './namespace.ts'

/** How many jobs of each queue the server has accepted, as its answers to those who hand it jobs tell. */
export class ConfirmedCounts {
  readonly #losses: LossDetector
  /** The last count, by queue, that each connection told. */
  readonly #last = new WeakMap<NamespaceConnection, Map<string, number>>()

  constructor(losses: LossDetector) {
    this.#losses = losses
  }

  /**
   * Call with every answer of a connection, in their order. Counts of one life of the server only grow: false when this one is lower than
   * the one before. Then the server was emptied, and another process has opened it first; on this connection nobody would ever compare
   * what it told before.
   */
  confirm(open: NamespaceConnection, queue: string, accepted: number, atMs: number): boolean {
    const counts = this.#last.get(open) ?? new Map<string, number>()
    this.#last.set(open, counts)
    const before = counts.get(queue) ?? 0
    counts.set(queue, accepted)
    if (accepted < before) return false
    this.#losses.saw(queue, open.bootId, accepted, atMs)
    return true
  }
}
