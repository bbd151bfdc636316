import type { Announcement } from '../job/job-receiver.ts'
import type { EncodedEvent } from './event.ts'

/** What became of one event of a batch. */
export type PublishOutcome =
  | { readonly status: 'published' }
  /** Its own fault, e.g. too large: it cannot be published, ever, and was not. */
  | { readonly status: 'refused'; readonly reason: string }
  /** An outage, or no room: nobody's fault. `mayHaveBeenApplied`: it was sent, and the answer is not known. */
  | {
      readonly status: 'unavailable'
      readonly reason: string
      readonly mayHaveBeenApplied: boolean
      readonly cause?: unknown
    }

/** Between these instants (this process's clock) events may have been missed. */
export interface Gap {
  readonly from: Date
  readonly to: Date
}

export interface TransientListener {
  onEvent(event: Announcement): void
  /** It lost its connection, and has another one now. */
  onGap(gap: Gap): void
}

export interface Listening {
  /** Nothing is heard after it. Twice is harmless. */
  stop(): Promise<void>
}

/** Carries events to subscriptions and listeners: Redis, or Kafka. Held to test/conformance/event-backend.ts. */
export interface EventBackend {
  readonly name: string
  /** Resolves once something can be sent; rejects with the reason when that takes longer. */
  ready(limitMs: number): Promise<void>
  /** An outcome per event, in order. Events of one key keep their order, within a call and from one call to the next. Never rejects. */
  publishBatch(events: readonly EncodedEvent[]): Promise<readonly PublishOutcome[]>
  /**
   * Hears events from now on, none of before, until stopped; topics by name, by beginning (`shop.*`), or all (`*`). Resolves once it
   * hears. Rejects with ConnectionError when it cannot be reached.
   */
  listen(topics: readonly string[], listener: TransientListener): Promise<Listening>
  /** Topics that it knows of, sorted. */
  listTopics(): Promise<readonly string[]>
  /** Ends its connections. What is under way settles before. Twice is harmless. */
  close(): Promise<void>
}
