import type { RedisOptions } from '../../redis/connection.ts'
import type { LeaseTableMemory } from './lease-table.ts'
import type { StreamLetter } from '../keys.ts'

/** What the keeper's thread is given when it starts. */
export interface KeeperData {
  readonly redis: RedisOptions
  readonly namespace: string
  readonly workerId: string
  readonly queues: readonly string[]
  readonly memory: LeaseTableMemory
  /**
   * As Float64: last success of a renewal, and of a promotion (monotonic ms of the main thread), told by the keeper; and the highest
   * instant of the server's clock that this process was told (ms), told by the main thread.
   */
  readonly vitals: SharedArrayBuffer
  readonly leaseMs: number
  readonly handBackMs: number
  readonly maxBlockedMs: number
  /** A pair taken at one instant in the main thread, by which the keeper translates its clock: monotonic ms and process.hrtime in ms. */
  readonly clock: { readonly monotonicMs: number; readonly hrtimeMs: number }
}

export interface StreamRef {
  readonly queue: string
  readonly letter: StreamLetter
}

export type ToKeeper =
  | { readonly kind: 'session'; readonly consumer: string }
  | { readonly kind: 'streams'; readonly streams: readonly StreamRef[] }
  | { readonly kind: 'stop' }

export type FromKeeper =
  /** Connected: leases are kept from now on. */
  | { readonly kind: 'ready' }
  /** These attempts were taken over while they ran. */
  | { readonly kind: 'lost'; readonly slots: readonly { readonly slot: number; readonly entry: string }[] }
  | { readonly kind: 'returned'; readonly count: number; readonly unseen: number }
  | {
      readonly kind: 'log'
      readonly level: 'info' | 'warn' | 'error'
      readonly facts: object
      readonly message: string
    }
