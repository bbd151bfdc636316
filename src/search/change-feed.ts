/** A document that changed. What became of it is to be read from its table. */
export interface FeedDocument {
  readonly doctype: string
  readonly docname: string
}

/** The next documents that changed. */
export interface FeedBatch {
  readonly n: number
  readonly documents: readonly FeedDocument[]
  /** All that was committed when `next` was asked for is in this batch or those after it, up to one that ends the window. */
  readonly beginsWindow: boolean
  readonly endsWindow: boolean
}

/**
 * The changes of one index's documents, for its only writer. For each batch: `next`, read the rows of its documents, `intend`, submit, wait
 * until the engine has them, `settle`. What is not settled comes again to the next owner.
 */
export interface ChangeFeed<Batch extends FeedBatch = FeedBatch> {
  /** Grows each time that somebody takes the position. */
  readonly epoch: number
  /** Undefined: nothing is new. Without documents there is only a position to write down. */
  next(): Promise<Batch | undefined>
  /** Writes down that a batch is about to be submitted. False: the position is another owner's, and it must not be. */
  intend(batch: Batch): Promise<boolean>
  /** False: the position is another owner's. */
  settle(batch: Batch): Promise<boolean>
  /** False: the position is another owner's. */
  renew(): Promise<boolean>
  /** Lets others take it, and ends what it holds. Never rejects; twice is harmless. */
  leave(): Promise<void>
}

/** Positions in the log by name: `<index>/<generation>`. */
export interface FeedSource {
  readonly leaseMs: number
  /** The position begins with what is committed from now on, unless it has begun before. */
  begin(position: string): Promise<void>
  /** Undefined: somebody alive owns it, or it has not begun. */
  take(position: string, doctypes: readonly string[]): Promise<ChangeFeed | undefined>
  /** All that have begun. */
  list(): Promise<readonly string[]>
  /** It is no more. Its owner, if there is one, loses it. */
  forget(position: string): Promise<void>
  /** Undefined: it has not begun. */
  standing(position: string, doctypes: readonly string[]): Promise<FeedStanding | undefined>
}

/** How far a position is behind the log. */
export interface FeedStanding {
  /** Changes that wait, up to 10,000 that are counted. */
  readonly waiting: number
  readonly oldestWaitingAt: Date | undefined
  /** Undefined: nobody follows. */
  readonly owner: string | undefined
  /** Documents that were settled in the last minute. */
  readonly settledLately: number
}

export function positionOf(index: string, generation: string): string {
  return `${index}/${generation}`
}

/** No name of a doctype has a slash. */
export function indexOf(position: string): string {
  return position.slice(0, position.indexOf('/'))
}

export function generationOf(position: string): string {
  return position.slice(position.indexOf('/') + 1)
}
