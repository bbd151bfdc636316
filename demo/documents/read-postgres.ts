import { Client } from 'pg'
import { DOCTYPE, type EnvelopeFacts, identify, type Numbered } from '../recorded.ts'
import type { CityDocument } from './transaction-journal.ts'

// What stands in PostgreSQL, read by plain SQL. Imports nothing of Moca, on purpose: it shares no mistake with it.

export interface FoundDocument extends CityDocument {
  readonly cityId: number
  readonly version: number
}

/** A row of the search index. */
export interface IndexedDocument {
  readonly id: string
  readonly fields: Readonly<Record<string, unknown>>
}

/** A row of Moca's log. */
export interface LoggedRow extends Numbered {
  readonly seq: number
  readonly kind: 'event' | 'job'
  readonly id: string
  readonly type: string
}

/** How far a lane has come, by PostgreSQL's word. */
export interface LanePosition {
  readonly lane: number
  readonly n: number
  readonly digest: string
}

export interface PostgresState {
  readonly documents: readonly FoundDocument[]
  /** The search index; empty where none was built. */
  readonly index: readonly IndexedDocument[]
  /** Subject -> how many were counted. */
  readonly counters: ReadonlyMap<string, number>
  readonly log: readonly LoggedRow[]
  readonly positions: readonly LanePosition[]
  /** Rows that Moca says it sent again. */
  readonly sentAgain: number
}

type RawRow = { seq: string; kind: string; id: string; type: string; payload: string }

export async function readPostgres(url: string): Promise<PostgresState> {
  const client = new Client({ connectionString: url })
  await client.connect()
  const rows = async <Row extends object>(text: string) => (await client.query<Row>(text)).rows
  try {
    // One instant for all of it.
    await rows('begin isolation level repeatable read read only')
    const counters = await rows<Numbered>('select subject, value as number from counter')
    const [live] = await rows<{ id: number }>(
      `select id from moca.search_generation where index_name = '${DOCTYPE}' and is_live`,
    )
    const [resent] = await rows<{ rows: string }>('select coalesce(sum(rows), 0) as rows from moca.resent')
    return {
      documents: await rows<FoundDocument>(
        'select city_id as "cityId", name, country, population, longitude, latitude, version from city',
      ),
      index: live ? await rows<IndexedDocument>(`select id, fields from moca.search_document_${live.id}`) : [],
      counters: new Map(counters.map(({ subject, number }) => [subject, number])),
      log: (await rows<RawRow>('select seq, kind, id, type, payload from moca.outbox order by seq')).map(toLogged),
      positions: await rows<LanePosition>(
        `select distinct on (lane) lane, n::integer, encode(digest, 'hex') as digest
         from moca.outbox_batch where sink = 'queue' order by lane, outbox_batch.n desc`,
      ),
      sentAgain: Number(resent?.rows),
    }
  } finally {
    await client.end()
  }
}

function toLogged({ seq, kind, id, type, payload }: RawRow): LoggedRow {
  const parsed = JSON.parse(payload) as unknown
  const { subject, number } = kind === 'j' ? (parsed as Numbered) : identify(parsed as EnvelopeFacts)
  return { seq: Number(seq), kind: kind === 'j' ? 'job' : 'event', id, type, subject, number }
}
