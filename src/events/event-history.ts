import type { EncodedEvent, EventFacts } from './event.ts'

/** Which recorded events are looked back at. */
export interface HistoryFilter {
  /** By name, by beginning (`shop.*`), or all (`*`). */
  readonly topics: readonly string[]
  readonly since: Date
  /** Not those recorded from this instant on. Undefined: no end. */
  readonly until?: Date | undefined
  readonly key?: string | undefined
}

/** Recorded events, as long as they are kept. Implemented by the outbox. */
export interface EventHistory {
  /** In the order of recording, page by page, up to what is there. Rejects with ConnectionError. */
  read(filter: HistoryFilter): AsyncIterable<readonly EncodedEvent[]>
  /** How many events are recorded and not published yet, by what decides who gets them. Rejects with ConnectionError. */
  countWaiting(): Promise<readonly WaitingEvents[]>
}

export interface WaitingEvents extends EventFacts {
  readonly events: number
  readonly oldestAt: Date
}
