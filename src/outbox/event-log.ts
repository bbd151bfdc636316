import type { EventHistory, HistoryFilter, WaitingEvents } from '../events/event-history.ts'
import { doctypeTopic, DOC_EVENTS, TopicSet } from '../events/topic.ts'
import type { Queryable } from '../postgres/connection.ts'
import type { LogRow } from './log-row.ts'
import { loadStatements } from './statements.ts'

const NAMES = ['seek-seq', 'read-events', 'count-waiting-events'] as const
const PAGE_ROWS = 500
/** Counting what waits may take a while after a long outage. */
const PATIENCE = { replyTimeoutMs: 120_000 }
/** The sink by which subscriptions get events. */
const SINK = 'queue'

interface RawEvent {
  readonly seq: number
  readonly lane: number
  readonly xid: string
  readonly topic: string
  readonly type: string
  readonly site: string | null
  readonly doctype: string | null
  readonly key: string | null
  readonly id: string
  readonly options: string | null
  readonly bytes: number
  readonly payload: string
}

/** Recorded events, for as long as the log keeps them. */
export class EventLog implements EventHistory {
  readonly #database: Queryable
  readonly #sql: Readonly<Record<(typeof NAMES)[number], string>>

  constructor(database: Queryable, schema: string) {
    this.#database = database
    this.#sql = loadStatements(NAMES, schema)
  }

  /** Events in the order of recording, page by page. What is committed while it reads may be missed: it is read up to what is there. */
  async *read(filter: HistoryFilter): AsyncGenerator<readonly LogRow[], void> {
    const topics = new TopicSet(filter.topics)
    const isMeant = (row: LogRow) => topics.has(row.topic) || topics.has(doctypeTopic(row) ?? '')
    let above = await this.#seek(filter.since)
    for (;;) {
      const rows = await this.#readPage(filter, topics, above)
      const meant = rows.filter(isMeant)
      if (meant.length > 0) yield meant
      const last = rows.at(-1)
      if (!last || rows.length < PAGE_ROWS) return
      above = last.seq
    }
  }

  async countWaiting(): Promise<WaitingEvents[]> {
    type Raw = Pick<RawEvent, 'topic' | 'type' | 'site' | 'doctype'> & { events: number; oldest_at: Date }
    const rows = await this.#database.query<Raw>(this.#sql['count-waiting-events'], [SINK], PATIENCE)
    return rows.map(({ site, doctype, oldest_at, ...row }) => ({
      ...row,
      site: site ?? undefined,
      doctype: doctype ?? undefined,
      oldestAt: oldest_at,
    }))
  }

  async #seek(since: Date): Promise<number> {
    const [row] = await this.#database.query<{ low: number }>(this.#sql['seek-seq'], [since])
    return row?.low ?? 0
  }

  async #readPage({ since, until, key }: HistoryFilter, topics: TopicSet, above: number): Promise<LogRow[]> {
    const isAll = topics.beginnings.includes('')
    // A change of a document is known by its doctype's topic, too.
    const names = [...topics.names, DOC_EVENTS]
    const rows = await this.#database.query<RawEvent>(this.#sql['read-events'], [
      above,
      since,
      until ?? null,
      isAll ? null : names,
      isAll ? null : topics.beginnings,
      key ?? null,
      PAGE_ROWS,
    ])
    return rows.map(toRow)
  }
}

function toRow({ site, doctype, key, options, ...row }: RawEvent): LogRow {
  return {
    ...row,
    kind: 'event',
    site: site ?? undefined,
    doctype: doctype ?? undefined,
    key: key ?? undefined,
    options: options ?? undefined,
    dueMs: undefined,
  }
}
