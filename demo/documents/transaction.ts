import { setTimeout as wait } from 'node:timers/promises'
import type { Outbox } from '../../src/outbox/outbox.ts'
import { type CityRow, tallyCountry } from '../jobs.ts'
import { monotonicUs } from '../monotonic.ts'
import { ALERT_RAISED, ALERTS_TOPIC, COUNTRIES_TOPIC, COUNTRY_CHANGED, type Numbered, subjects } from '../recorded.ts'
import type { Fate, PlannedTransaction } from './plan-transactions.ts'
import type { CityDocument, DocumentChange, Recording, TransactionJournal } from './transaction-journal.ts'
import type { WriterConnection } from './writer-connection.ts'

export interface TransactionDeps {
  readonly outbox: Pick<Outbox, 'record' | 'enqueue'>
  readonly journal: TransactionJournal
  /** How long a late one stays open. */
  readonly lateMs: number
  readonly signal: AbortSignal
}

/** What is to be done in one transaction: as planned, with the documents that are to be changed. */
export interface Work extends Pick<PlannedTransaction, 'cities' | 'countries' | 'alerts' | 'tallies'> {
  readonly updates: readonly number[]
  readonly deletes: readonly number[]
}

const COLUMNS = 'city_id, name, country, population, longitude, latitude, version'

const INSERT = `
insert into city (${COLUMNS})
select ${COLUMNS} from json_to_recordset($1) as given (
  city_id integer, name text, country text, population integer, longitude double precision, latitude double precision, version integer)`

// In one order, as everywhere: two transactions never wait for each other.
const LOCK = 'select city_id from city where city_id = any($1) order by city_id for update'
const UPDATE = `update city set population = population + 1, version = version + 1 where city_id = any($1) returning ${COLUMNS}`
const DELETE = 'delete from city where city_id = any($1) returning city_id, version'

const COUNT = `
insert into counter (subject, value) select subject, 1 from unnest($1::text[]) subject order by subject
on conflict (subject) do update set value = counter.value + 1
returning subject, value as number`

type Row = CityDocument & { readonly city_id: number; readonly version: number }

/** The connection broke while a transaction was to end: it may have been committed, or not. */
export class UnknownOutcomeError extends Error {}

/**
 * Runs one transaction to its end. What it has done is on the disk before its COMMIT or ROLLBACK is sent. Rejects with
 * UnknownOutcomeError when the connection broke then, and with the error of a statement before, after which nothing of it remains.
 */
export async function runTransaction(
  connection: WriterConnection,
  { name, fate, work, deps }: { name: string; fate: Fate; work: Work; deps: TransactionDeps },
): Promise<readonly DocumentChange[]> {
  const { journal } = deps
  const begunAt = performance.now()
  await connection.query('begin')
  await connection.query('insert into application_transaction (name) values ($1)', [name])
  const changes = await changeDocuments(connection, work)
  // What was written so far stands in the log already, below whatever others record and commit meanwhile.
  if (fate === 'late') await wait(deps.lateMs, undefined, { signal: deps.signal })
  const recordings = await record(connection, work, deps.outbox)
  const ending = fate === 'rollback' ? 'rollback' : 'commit'
  const openMs = Math.round(performance.now() - begunAt)
  await journal.append({ kind: 'intent', transaction: name, us: monotonicUs(), ending, openMs, changes, recordings })
  await end(connection, name, fate, journal)
  return changes
}

async function end(
  connection: WriterConnection,
  transaction: string,
  fate: Fate,
  journal: TransactionJournal,
): Promise<void> {
  const write = (outcome: 'committed' | 'rolled-back' | 'unknown', error?: string) =>
    journal.append({ kind: 'outcome', transaction, us: monotonicUs(), outcome, ...(error && { error }) })
  if (fate === 'rollback') {
    await connection.query('rollback')
    return write('rolled-back')
  }
  try {
    if (fate === 'cut') connection.sendAndBreak('commit')
    if (fate === 'cut-before') connection.break()
    await connection.query('commit')
  } catch (error) {
    await write('unknown', String(error))
    throw new UnknownOutcomeError(`Nobody knows how ${transaction} ended`, { cause: error })
  }
  await write('committed')
}

async function changeDocuments(connection: WriterConnection, work: Work): Promise<DocumentChange[]> {
  const changes: DocumentChange[] = []
  if (work.cities.length > 0) {
    const rows = work.cities.map(toRow)
    await connection.query(INSERT, [JSON.stringify(rows)])
    changes.push(...rows.map((row) => toChange('created', row)))
  }
  const changed = [...work.updates, ...work.deletes]
  if (changed.length === 0) return changes
  await connection.query(LOCK, [changed])
  // Fewer than were asked for, where somebody else has deleted one meanwhile.
  const updated = await connection.query<Row>(UPDATE, [work.updates])
  changes.push(...updated.map((row) => toChange('updated', row)))
  const deleted = await connection.query<Pick<Row, 'city_id' | 'version'>>(DELETE, [work.deletes])
  for (const { city_id, version } of deleted) changes.push({ action: 'deleted', cityId: city_id, version: version + 1 })
  return changes
}

/** Counts, which takes locks, and then records under them: so that what is recorded of a subject is in commit order. */
async function record(
  connection: WriterConnection,
  { countries, alerts, tallies }: Work,
  outbox: TransactionDeps['outbox'],
): Promise<Recording[]> {
  const wanted = [...countries.map(subjects.country), ...alerts.map(subjects.alert), ...tallies.map(subjects.tally)]
  if (wanted.length === 0) return []
  const counted = new Map<string, Numbered>()
  for (const row of await connection.query<Numbered>(COUNT, [wanted])) counted.set(row.subject, row)
  const numberedOf = (subject: string) => counted.get(subject) as Numbered

  const recordings: Recording[] = []
  const events = async (topic: string, type: string, of: readonly string[]) => {
    const items = of.map((subject) => ({ type, key: subject, data: numberedOf(subject) }))
    const ids = await outbox.record(connection, topic, items)
    for (const [i, subject] of of.entries())
      recordings.push({ kind: 'event', id: ids[i] ?? '', topic, type, ...numberedOf(subject) })
  }
  await events(COUNTRIES_TOPIC, COUNTRY_CHANGED, countries.map(subjects.country))
  await events(ALERTS_TOPIC, ALERT_RAISED, alerts.map(subjects.alert))
  for (const subject of tallies.map(subjects.tally)) {
    const numbered = numberedOf(subject)
    const { id } = await outbox.enqueue(connection, tallyCountry, numbered, { key: subject })
    recordings.push({ kind: 'job', id, topic: tallyCountry.queue, type: tallyCountry.type, ...numbered })
  }
  return recordings
}

function toRow({ cityId, name, country, population, coordinates }: CityRow): Row {
  const [longitude, latitude] = coordinates ?? [null, null]
  return { city_id: cityId, name, country, population, longitude, latitude, version: 1 }
}

function toChange(action: 'created' | 'updated', { city_id: cityId, version, ...row }: Row): DocumentChange {
  return { action, cityId, version, row }
}
