import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { DeliveryLine } from '../delivery-ledger.ts'
import type { FoundDocument, IndexedDocument, LoggedRow, PostgresState } from '../documents/read-postgres.ts'
import type { CityDocument, DocumentChange, Recording, TransactionLine } from '../documents/transaction-journal.ts'
import type { FoundJob, Place, RawPosition } from '../raw-walk.ts'
import { ALERT_RAISED, ALERTS_TOPIC, COUNTRIES_TOPIC, COUNTRY_CHANGED, TALLY } from '../recorded.ts'
import type { ProblemKind } from './problem.ts'
import { makeRecordedAccount, type RecordedAccount } from './recorded-account.ts'

// A small run that adds up, and one change for each thing that can be wrong: the account must name exactly what it is about.

type Writable<T> = { -readonly [K in keyof T]: T[K] }

/** Evidence that can be changed. */
interface Run {
  journal: TransactionLine[]
  postgres: {
    documents: Writable<PostgresState['documents'][number]>[]
    /** Default: as the documents are. */
    index?: IndexedDocument[]
    counters: Map<string, number>
    log: LoggedRow[]
    positions: { lane: number; n: number; digest: string }[]
  }
  ledger: Writable<DeliveryLine>[]
  jobs: FoundJob[]
  positions: Map<string, RawPosition>
}

const ULM: CityDocument = { name: 'Ulm', country: 'DE', population: 5, longitude: 10, latitude: 48 }
const BAD: CityDocument = { name: 'Nowhere', country: 'DE', population: 1, longitude: null, latitude: null }
const LATE_MS = 5_000

const created = (cityId: number, row = ULM): DocumentChange => ({ action: 'created', cityId, version: 1, row })
const country = (number: number): Recording => {
  return {
    kind: 'event',
    id: `de-${number}`,
    topic: COUNTRIES_TOPIC,
    type: COUNTRY_CHANGED,
    subject: 'country:DE',
    number,
  }
}
const ALERT: Recording = {
  kind: 'event',
  id: 'alert-1',
  topic: ALERTS_TOPIC,
  type: ALERT_RAISED,
  subject: 'alert:DE',
  number: 1,
}
const JOB: Recording = {
  kind: 'job',
  id: 'default.0.gtally',
  topic: 'default',
  type: TALLY,
  subject: 'tally:DE',
  number: 1,
}

/**
 * City 1 is created, changed and deleted; 2 is created late; 3 cannot be enriched, and is changed afterwards. One transaction is rolled
 * back, another one's answer is lost.
 */
function goodRun(): Run {
  const run: Run = {
    journal: [],
    postgres: {
      documents: [
        { cityId: 2, version: 1, ...ULM },
        { cityId: 3, version: 2, ...BAD, population: 2 },
        ...[4, 5, 6].map((cityId) => ({ cityId, version: 1, ...ULM })),
      ],
      counters: new Map([
        ['country:DE', 3],
        ['alert:DE', 1],
        ['tally:DE', 1],
      ]),
      log: [],
      positions: [{ lane: 3, n: 7, digest: 'ab' }],
    },
    ledger: [],
    jobs: [
      found('event:enrich', 'enrich/:City:3', 'dead'),
      found('event:enrich', 'enrich/:City:3', 'gated', 'default.0.gbehind'),
    ],
    positions: new Map([['3', { logId: 'log', n: 7, epoch: 1, rows: 5, digest: 'ab' }]]),
  }
  commit(run, 'a', [created(1), created(3, BAD)], [country(1)])
  commit(run, 'b', [{ action: 'updated', cityId: 1, version: 2, row: ULM }], [country(2), JOB])
  write(run, 'c', [created(9)], [country(3), ALERT], 'rollback')
  commit(run, 'd', [{ action: 'deleted', cityId: 1, version: 3 }], [])
  commit(run, 'e', [{ action: 'updated', cityId: 3, version: 2, row: { ...BAD, population: 2 } }], [ALERT])
  write(run, 'f', [created(4), created(5), created(6)], [{ ...country(3), id: 'de-3b' }], 'commit')
  end(run, 'f', 'unknown')
  run.journal.push({ kind: 'settled', transaction: 'f', us: 8_000, outcome: 'committed' })
  commit(run, 'late', [created(2)], [], LATE_MS + 10)
  record(run)
  for (const [route, subject, numbers, ids] of [
    ['enrich', 'City:1', [1, 2, 3]],
    ['alert', 'City:1', [3]],
    ['enrich', 'City:2', [1]],
    ...[4, 5, 6].map((id): [string, string, number[]] => ['enrich', `City:${id}`, [1]]),
    ['report', 'country:DE', [1, 2, 3], ['de-1', 'de-2', 'de-3b']],
    ['alert', 'alert:DE', [1], ['alert-1']],
  ] as [string, string, number[], string[]?][]) {
    for (const [i, number] of numbers.entries())
      deliver(run, route, subject, number, ids?.[i] ?? `${subject} ${number}`)
  }
  deliver(run, TALLY, 'tally:DE', 1, undefined, { id: JOB.id })
  for (let attempt = 1; attempt <= 3; attempt++)
    deliver(run, 'enrich', 'City:3', 1, 'City:3 1', { outcome: 'failed', attempt })
  return run
}

let us = 0

function write(
  run: Run,
  transaction: string,
  changes: readonly DocumentChange[],
  recordings: readonly Recording[],
  ending: 'commit' | 'rollback',
  openMs = 1,
): void {
  us += 1_000
  run.journal.push({ kind: 'intent', transaction, us, ending, openMs, changes, recordings })
}

function end(run: Run, transaction: string, outcome: 'committed' | 'unknown'): void {
  run.journal.push({ kind: 'outcome', transaction, us: us + 1, outcome })
}

function commit(
  run: Run,
  transaction: string,
  changes: readonly DocumentChange[],
  recordings: readonly Recording[],
  openMs?: number,
): void {
  write(run, transaction, changes, recordings, 'commit', openMs)
  end(run, transaction, 'committed')
}

/** What the log holds of all that. */
function record({ journal, postgres: { log } }: Run): void {
  for (const line of journal) {
    if (line.kind !== 'intent' || line.ending === 'rollback') continue
    const add = (row: Omit<LoggedRow, 'seq'>) => log.push({ seq: log.length + 1, ...row })
    for (const { action, cityId, version } of line.changes) {
      const subject = `City:${cityId}`
      add({ kind: 'event', id: `${subject} ${version}`, type: `City.${action}`, subject, number: version })
    }
    for (const { kind, id, type, subject, number } of line.recordings) add({ kind, id, type, subject, number })
  }
}

function deliver(
  run: Run,
  route: string,
  subject: string,
  number: number,
  eventId: string | undefined,
  change: Partial<DeliveryLine> = {},
): void {
  us += 1_000
  const key = route === TALLY ? subject : `${route}/${subject}`
  const id = `default.0.${route}-${subject}-${number}`
  const line = {
    route,
    subject,
    number,
    eventId,
    id,
    queue: 'default',
    key,
    fence: String(us),
    attempt: 1,
    pid: 11,
    us,
  }
  run.ledger.push({ ...line, outcome: 'succeeded', ...change })
}

function found(type: string, key: string, place: Place, id = `default.0.g${place}`): FoundJob {
  return { id, queue: 'default', type, key, place, where: 'somewhere' }
}

function indexed({ cityId, name, country, population, version }: FoundDocument): IndexedDocument {
  return { id: String(cityId), fields: { name, country, population, version } }
}

function account({ journal, postgres, ledger, jobs, positions }: Run): RecordedAccount {
  return makeRecordedAccount({
    journal,
    postgres: { ...postgres, index: postgres.index ?? postgres.documents.map(indexed), sentAgain: 4 },
    ledger,
    walk: { jobs, positions },
    dying: new Set(['City:3']),
    lateMs: LATE_MS,
  })
}

function problemsOf(run: Run): [ProblemKind, string][] {
  return account(run).problems.map(({ kind, id }) => [kind, id])
}

/** As if it had never been delivered. */
function forget(run: Run, route: string, subject: string, number: number): void {
  run.ledger = run.ledger.filter((line) => line.route !== route || line.subject !== subject || line.number !== number)
}

function lineOf(run: Run, route: string, subject: string, number: number): Writable<DeliveryLine> {
  const line = run.ledger.find((each) => each.route === route && each.subject === subject && each.number === number)
  assert.ok(line)
  return line
}

test('the account of a run in which all that was committed arrived adds up', () => {
  const { documents, events, search, sentAgain, problems } = account(goodRun())
  assert.deepEqual(problems, [])
  assert.deepEqual(documents, { committed: 5, inTable: 5, lost: 0 })
  // The deletion is for two subscriptions.
  assert.deepEqual(events, { recorded: 14, delivered: 15, lost: 0, duplicated: 0, outOfOrder: 0 })
  assert.deepEqual(search, { indexed: 5, missing: 0, stale: 0, orphaned: 0 })
  assert.equal(sentAgain, 4)
})

describe('of documents, the account names', () => {
  test('one that was committed and is not in the table', () => {
    const run = goodRun()
    run.postgres.documents.shift()
    assert.deepEqual(problemsOf(run), [['document-lost', 'City 2']])
    assert.deepEqual(account(run).documents, { committed: 5, inTable: 4, lost: 1 })
  })

  test('one that is otherwise than the last committed change left it', () => {
    const run = goodRun()
    Object.assign(run.postgres.documents[1] ?? {}, { version: 1, population: 1 })
    assert.deepEqual(problemsOf(run), [['document-wrong', 'City 3']])
  })

  test('one that was deleted, and one that was rolled back', () => {
    const run = goodRun()
    run.postgres.documents.push({ cityId: 1, version: 2, ...ULM }, { cityId: 9, version: 1, ...ULM })
    assert.deepEqual(problemsOf(run), [
      ['document-unknown', 'City 1'],
      ['document-unknown', 'City 9'],
    ])
  })

  test('a transaction of which nobody found out how it ended', () => {
    const run = goodRun()
    commit(run, 'g', [], [])
    write(run, 'h', [], [], 'commit')
    end(run, 'h', 'unknown')
    assert.deepEqual(problemsOf(run), [['unsettled', 'h']])
  })

  test('a subject of which PostgreSQL counted otherwise than the journals', () => {
    const run = goodRun()
    run.postgres.counters.set('country:DE', 4).set('country:FR', 1)
    assert.deepEqual(problemsOf(run), [
      ['count', 'country:DE'],
      ['count', 'country:FR'],
    ])
  })
})

describe('of the search index, the account names', () => {
  test('a document that is missing, one of an older version, and one without a row', () => {
    const run = goodRun()
    const [, ...others] = run.postgres.documents
    run.postgres.index = others.map((row) => indexed(row.cityId === 3 ? { ...row, version: 1, population: 1 } : row))
    run.postgres.index.push(indexed({ cityId: 1, version: 2, ...ULM }))
    assert.deepEqual(problemsOf(run), [
      ['index-missing', 'City 2'],
      ['index-stale', 'City 3'],
      ['index-orphaned', 'City 1'],
    ])
    assert.deepEqual(account(run).search, { indexed: 5, missing: 1, stale: 1, orphaned: 1 })
  })

  test('one of the right version that holds something else', () => {
    const run = goodRun()
    run.postgres.index = run.postgres.documents.map((row) => indexed(row.cityId === 4 ? { ...row, name: 'Um' } : row))
    assert.deepEqual(problemsOf(run), [['index-stale', 'City 4']])
  })

  test('all documents where there is no index', () => {
    const run = goodRun()
    run.postgres.index = []
    assert.equal(account(run).search.missing, 5)
  })
})

describe('of the log, the account names', () => {
  test('a row that is missing, although the event was delivered', () => {
    const run = goodRun()
    run.postgres.log = run.postgres.log.filter(({ id }) => id !== 'de-2')
    assert.deepEqual(problemsOf(run), [['log-row-missing', 'country:DE 2']])
  })

  test('a row that no committed transaction recorded', () => {
    const run = goodRun()
    run.postgres.log.push({ seq: 90, kind: 'event', id: 'x', type: 'City.created', subject: 'City:9', number: 1 })
    assert.deepEqual(problemsOf(run), [['log-row-unknown', 'City:9 1']])
  })

  test('a row that is there twice, and one with the id of a transaction that was rolled back', () => {
    const run = goodRun()
    const { log } = run.postgres
    log.push({ ...(log.at(-1) as LoggedRow), seq: 91 })
    const index = log.findIndex(({ id }) => id === 'de-3b')
    log[index] = { ...(log[index] as LoggedRow), id: 'de-3' }
    assert.deepEqual(problemsOf(run), [
      ['log-row-wrong', 'country:DE 3'],
      ['log-row-wrong', 'City:2 1'],
    ])
  })

  test('rows of a key that stand in another order than they were committed in', () => {
    const run = goodRun()
    const { log } = run.postgres
    const [first, second] = ['de-1', 'de-2'].map((id) => log.findIndex((row) => row.id === id)) as [number, number]
    const [a, b] = [log[first], log[second]] as [LoggedRow, LoggedRow]
    log[first] = { ...b, seq: a.seq }
    log[second] = { ...a, seq: b.seq }
    assert.deepEqual(problemsOf(run), [['log-out-of-order', 'country:DE 1']])
  })
})

describe('of deliveries, the account names', () => {
  test('an event that never came and is nowhere, and for whom', () => {
    const run = goodRun()
    forget(run, 'alert', 'City:1', 3)
    assert.deepEqual(problemsOf(run), [['event-lost', 'alert City:1 3']])
    assert.deepEqual(account(run).events, { recorded: 14, delivered: 14, lost: 1, duplicated: 0, outOfOrder: 0 })
  })

  test('a recorded job that was never done', () => {
    const run = goodRun()
    forget(run, TALLY, 'tally:DE', 1)
    assert.deepEqual(problemsOf(run), [['event-lost', `${TALLY} tally:DE 1`]])
    run.jobs.push(found(TALLY, 'tally:DE', 'waiting'))
    assert.deepEqual(problemsOf(run), [['event-unfinished', `${TALLY} tally:DE 1`]])
  })

  test('the later one of a key where one still waits and one is lost', () => {
    const run = goodRun()
    forget(run, 'report', 'country:DE', 2)
    forget(run, 'report', 'country:DE', 3)
    run.jobs.push(found('event:report', 'report/country:DE', 'waiting'))
    assert.deepEqual(problemsOf(run), [
      ['event-unfinished', 'report country:DE 2'],
      ['event-lost', 'report country:DE 3'],
    ])
  })

  test('one that was done and still stands in Redis', () => {
    const run = goodRun()
    const { id } = lineOf(run, 'enrich', 'City:2', 1)
    run.jobs.push(found('event:enrich', 'enrich/:City:2', 'delayed', id))
    assert.deepEqual(problemsOf(run), [['event-unfinished', 'enrich City:2 1']])
  })

  test('a healthy one among the dead letters', () => {
    const run = goodRun()
    forget(run, 'enrich', 'City:2', 1)
    run.jobs.push(found('event:enrich', 'enrich/:City:2', 'dead', 'default.0.gx'))
    assert.deepEqual(problemsOf(run), [['event-wrongly-dead', 'enrich City:2 1']])
  })

  test('one of a bad row that was done, and one that died before its time', () => {
    const run = goodRun()
    run.ledger = run.ledger.filter(({ subject, attempt }) => subject !== 'City:3' || attempt < 3)
    assert.deepEqual(problemsOf(run), [['event-not-retried', 'enrich City:3 1']])
    deliver(run, 'enrich', 'City:3', 1, 'City:3 1')
    assert.deepEqual(problemsOf(run), [['event-not-dead', 'enrich City:3 1']])
  })

  test('one behind a dead letter that did not wait for it', () => {
    const run = goodRun()
    run.jobs.pop()
    deliver(run, 'enrich', 'City:3', 2, 'City:3 2')
    assert.deepEqual(problemsOf(run), [['event-not-dead', 'enrich City:3 2']])
  })

  test('one that a transaction recorded which was rolled back', () => {
    const run = goodRun()
    deliver(run, 'report', 'country:DE', 3, 'de-3')
    deliver(run, 'enrich', 'City:9', 1, 'x')
    assert.deepEqual(problemsOf(run), [
      ['event-unknown', 'report country:DE 3'],
      ['event-unknown', 'enrich City:9 1'],
    ])
    assert.match(account(run).problems[0]?.found ?? '', /transaction c, which was rolled back/)
  })

  test('one that came to somebody whom it was not for', () => {
    const run = goodRun()
    deliver(run, 'report', 'alert:DE', 1, 'alert-1')
    assert.deepEqual(problemsOf(run), [['event-unknown', 'report alert:DE 1']])
  })

  test('one that was overtaken, with the one that overtook it', () => {
    const run = goodRun()
    const [first, second] = [1, 2].map((number) => lineOf(run, 'report', 'country:DE', number))
    assert.ok(first && second)
    ;[first.us, second.us] = [second.us, first.us]
    ;[first.fence, second.fence] = [second.fence, first.fence]
    assert.deepEqual(problemsOf(run), [['event-out-of-order', 'report country:DE 1']])
    assert.match(account(run).problems[0]?.expected ?? '', /report country:DE 2/)
    assert.equal(account(run).events.outOfOrder, 1)
  })

  test('not what was done twice, which is counted, nor what a stale attempt wrote', () => {
    const run = goodRun()
    deliver(run, 'report', 'country:DE', 1, 'de-1')
    deliver(run, 'report', 'country:DE', 2, 'de-2', { fence: '1' })
    assert.deepEqual(problemsOf(run), [])
    assert.equal(account(run).events.duplicated, 2)
  })
})

test('a lane of which PostgreSQL and Redis say otherwise how far it has come is named', () => {
  const run = goodRun()
  run.positions.set('3', { logId: 'log', n: 6, epoch: 1, rows: 5, digest: 'aa' })
  run.positions.set('4', { logId: 'log', n: 1, epoch: 1, rows: 5, digest: 'aa' })
  run.postgres.positions.push({ lane: 5, n: 1, digest: 'cd' })
  assert.deepEqual(problemsOf(run), [
    ['position', 'lane 3'],
    ['position', 'lane 5'],
    ['position', 'lane 4'],
  ])
})

test('a run in which nothing went wrong in the application proves little', () => {
  const run = goodRun()
  run.journal = run.journal.filter(({ transaction }) => transaction === 'a')
  run.postgres.documents = run.postgres.documents.filter(({ cityId }) => cityId === 3)
  const missing = account(run).problems.filter(({ kind }) => kind === 'not-tried')
  assert.equal(missing.length, 7)
})
