import type { LogRow } from '../log-row.ts'

/** A row of which no event or job can be made. */
export interface Refusal {
  readonly seq: number
  readonly reason: 'refused' | 'unreadable'
  readonly error: string
}

/** What a sink makes of rows before their batch is intended. Pure: the same rows and the same version give the same again. */
export interface Prepared<Content> {
  /** The rows of the batch. Those behind the last one were more than a batch of this sink holds, and come with the next. */
  readonly rows: readonly LogRow[]
  readonly refused: readonly Refusal[]
  readonly content: Content
}

/** A numbered batch whose intent is written down. */
export interface Batch<Content = unknown> {
  readonly lane: number
  readonly n: number
  readonly epoch: number
  readonly logId: string
  readonly rows: number
  readonly digest: string
  readonly content: Content
}

export type Delivery =
  /** It is there, now or since before. */
  | { readonly status: 'taken' }
  /** Away, busy or full: nobody's fault, and nothing is counted. The lane tries again later. */
  | { readonly status: 'unavailable'; readonly reason: string }
  /** It has less than the batch before: send from `n` on. */
  | { readonly status: 'forgot'; readonly n: number }
  /**
   * stale: it had a batch of a higher epoch. ahead: it has more than PostgreSQL knows of. foreign: it is fed by another log. `n`: of its last
   * batch.
   */
  | { readonly status: 'stale' | 'ahead' | 'foreign'; readonly n: number }

/** For which batch rows are prepared. */
export interface BatchFacts {
  /** Of the set of subscriptions. */
  readonly version: number
  readonly n: number
  /** For this subscription alone, which begins in the past. */
  readonly only?: { readonly name: string; readonly since: number } | undefined
  /** Its intent is written down: all rows are its, whatever a batch may hold today. */
  readonly isIntended?: boolean
}

/** Where a lane's rows go. Each sink has positions of its own, so that one that is down does not hold up the others. */
export interface Sink<Content = unknown> {
  readonly name: string
  prepare(rows: readonly LogRow[], batch: BatchFacts): Promise<Prepared<Content>> | Prepared<Content>
  /** Never rejects for an outage. Batches of one lane come one after another; those of several lanes at the same time. */
  deliver(batch: Batch<Content>): Promise<Delivery>
  /** How far each lane has come, where the sink knows by itself. Rejects when it cannot be reached. */
  positions(): Promise<ReadonlyMap<number, { readonly logId: string; readonly n: number; readonly digest: string }>>
  /** Lets a lane go on after batch `n`, whatever the sink had: an operator wishes it. Rejects when the sink cannot be reached. */
  setPosition(position: {
    readonly logId: string
    readonly lane: number
    readonly n: number
    readonly epoch: number
    /** Of that batch. Empty: it need not be known, the next one follows. */
    readonly digest: string
  }): Promise<void>
}
