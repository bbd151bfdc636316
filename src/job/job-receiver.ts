// How jobs and events that were recorded or emitted elsewhere come into the queue. Implemented by queue/receiver, used by outbox and
// events, which know nothing of Redis.

/** A job that somebody else gave its id. */
export interface ReceivedJob {
  readonly queue: string
  readonly type: string
  /** The options of its entry as JSON; begins with `{"i":"<place>"`. Its key, and the size of a large payload, are added where they are missing. */
  readonly options: string
  readonly payload: string
  /** `g` and 20 url-safe characters: the last part of its id. */
  readonly place: string
  /** Jobs of a queue with one key run one after another, in the order of receiving. */
  readonly key: string | undefined
  /** Not before this instant, ms since 1970. */
  readonly dueMs: number | undefined
}

/** What transient listeners hear. Nobody may be listening. */
export interface Announcement {
  readonly topic: string
  /** The envelope, JSON. */
  readonly text: string
}

/** How far a lane has come in the queue. */
export interface ReceivedPosition {
  readonly logId: string
  readonly n: number
  readonly epoch: number
  readonly rows: number
  readonly digest: string
}

/** A numbered batch of a lane. At most 1,000 jobs. */
export interface ReceivedBatch extends ReceivedPosition {
  /** The lane's name in the queue: its number, or `<subscription>:<number>` of a subscription that catches up. */
  readonly unit: string
  readonly jobs: readonly ReceivedJob[]
  readonly announcements: readonly Announcement[]
}

/** What became of a batch (docs/decisions/0032-batches-and-leases.md). Only `applied` changed anything. */
export type BatchAnswer =
  /** Accepted now, or before. */
  | { readonly status: 'applied' | 'done' }
  /** A higher epoch was here: this relay does not own the lane any more, or PostgreSQL forgot who did. */
  | { readonly status: 'stale'; readonly found: ReceivedPosition }
  /** The queue has less than the batch before, or nothing of this lane. */
  | { readonly status: 'forgot'; readonly found: ReceivedPosition | undefined }
  /** The queue has more, or another batch of this number. */
  | { readonly status: 'ahead'; readonly found: ReceivedPosition }
  /** The queue is fed by another log. */
  | { readonly status: 'foreign'; readonly found: ReceivedPosition }
  /** No room in a queue with `maxWaiting`. */
  | { readonly status: 'full'; readonly queue: string }

/** Emitted events, and what becomes of them. */
export interface EmittedEvents {
  /** Of the set of subscriptions that was asked. */
  readonly version: number
  /** At most 1,000. */
  readonly jobs: readonly ReceivedJob[]
  readonly announcements: readonly Announcement[]
}

/**
 * Rejects with a MocaError when it cannot be reached, did not answer or refused (no memory left, a replica, a user who may not); what was
 * sent may have been applied unless `facts.mayHaveBeenApplied` is false. A job that stands in its queue already is not accepted again.
 */
export interface JobReceiver {
  /** Accepts all jobs of a batch and notes its number, or nothing. Exactly once in what the server remembers. */
  receive(batch: ReceivedBatch): Promise<BatchAnswer>
  /** The positions of all units at one instant. */
  positions(): Promise<ReadonlyMap<string, ReceivedPosition>>
  /** Writes positions over what is there, for `outbox redrive` and `outbox rebase`. Undefined removes one. */
  setPositions(positions: ReadonlyMap<string, ReceivedPosition | undefined>): Promise<void>
  /**
   * Accepts the jobs of emitted events' subscriptions and announces the events, at once. `outdated`: the server knows another set of
   * subscriptions, and nothing was done. Rejects with QueueFullError as well.
   */
  publish(events: EmittedEvents): Promise<'published' | 'outdated'>
}
