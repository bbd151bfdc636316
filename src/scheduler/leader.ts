import type { Clock } from '../clock.ts'
import type { Lead, ScheduleStore } from './schedule-store.ts'

/** How long the lock holds without being renewed. Somebody else leads so much later at most, and one look. */
const LOCK_MS = 6_000
/** A leader trusts itself for so much less than the lock holds. */
const MARGIN_MS = 1_500

/**
 * Leads, or stands by: a lock in Redis with an owner of each acquisition and an epoch. The lead only saves work: that an instant is taken
 * once is seen to by the script that takes it (queue/lua/fire.lua).
 */
export class Leader {
  readonly #store: ScheduleStore
  readonly #clock: Clock
  readonly #name: string
  #acquisition = 0
  #owner: string | undefined
  /** By the monotonic clock, counted from before the last renewal was sent: a leader that was stopped since trusts itself no more. */
  #trustedUntilMs = 0

  /** `name`: unique to the process. */
  constructor(store: ScheduleStore, clock: Clock, name: string) {
    this.#store = store
    this.#clock = clock
    this.#name = name
  }

  /** Who leads, where this one does; undefined: it must not fire anything. */
  get owner(): string | undefined {
    return this.#clock.monotonicMs() < this.#trustedUntilMs ? this.#owner : undefined
  }

  /** Takes the lead, renews it, or finds that somebody else has it. */
  async renew(): Promise<Lead> {
    const startedAtMs = this.#clock.monotonicMs()
    // Once it was not trusted, it is taken anew, as somebody else: what an earlier acquisition has sent must not count for this one.
    const owner = this.owner ?? `${this.#name}.${++this.#acquisition}`
    const lead = await this.#store.lead(owner, LOCK_MS)
    this.#owner = lead.word === 'leading' ? owner : undefined
    this.#trustedUntilMs = startedAtMs + LOCK_MS - MARGIN_MS
    return lead
  }

  /** Somebody else may lead at once. */
  async resign(): Promise<void> {
    const owner = this.#owner
    this.#owner = undefined
    if (owner !== undefined) await this.#store.lead(owner, 0)
  }
}
