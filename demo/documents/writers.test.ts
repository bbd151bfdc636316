import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, type TestContext, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { silentLogger } from '../../src/logger.ts'
import { matches } from '../../src/events/fan-out.ts'
import type { LogRow } from '../../src/outbox/log-row.ts'
import { Relay } from '../../src/outbox/relay.ts'
import { PostgresConnection } from '../../src/postgres/connection.ts'
import { LedgerSink } from '../../test/support/ledger-sink.ts'
import { type PostgresServer, startPostgres, type TestDatabase } from '../../test/support/postgres-server.ts'
import { waitFor } from '../../test/support/wait-for.ts'
import { makeRecordedAccount, type RecordedAccount } from '../account/recorded-account.ts'
import { type ImportRow, readRows } from '../cities.ts'
import type { DeliveryLine } from '../delivery-ledger.ts'
import { plantInLog } from '../faults.ts'
import { type EnvelopeFacts, identify, type Numbered } from '../recorded.ts'
import { SUBSCRIPTIONS } from '../subscriptions.ts'
import { openOutbox, prepareDatabase } from './database.ts'
import { planTransactions } from './plan-transactions.ts'
import { readPostgres } from './read-postgres.ts'
import { openTransactionJournal, readTransactionJournal } from './transaction-journal.ts'
import { writeDocuments } from './writers.ts'

// Real writers, a real log and real relays; the sink stands for Redis and the handlers.

const NAMESPACE = 'written'
const LATE_MS = 400

let server: PostgresServer
before(async () => {
  server = await startPostgres({ settings: { max_connections: '40' } })
})
after(() => server.stop())

class Scene {
  readonly database: TestDatabase
  readonly sink = new LedgerSink('queue')
  readonly rows: readonly ImportRow[]
  readonly #journals: string
  readonly #relays: readonly Relay<readonly LogRow[]>[]

  private constructor(database: TestDatabase, journals: string, rows: readonly ImportRow[]) {
    this.database = database
    this.#journals = journals
    this.rows = rows
    this.#relays = [0, 1].map(() => this.#relay())
  }

  static async open(t: TestContext, cities: number): Promise<Scene> {
    const journals = await mkdtemp(join(tmpdir(), 'moca-writers-'))
    t.after(() => rm(journals, { recursive: true }))
    const database = await server.createDatabase(t)
    await prepareDatabase(database.url, NAMESPACE)
    const scene = new Scene(database, journals, readRows(cities))
    t.after(() => Promise.all(scene.#relays.map((relay) => relay.stop())))
    return scene
  }

  relay(): void {
    for (const relay of this.#relays) relay.start()
  }

  async write(t: TestContext, pace: () => Promise<void> = async () => {}): Promise<void> {
    const journal = await openTransactionJournal(this.#journals, 'writers')
    await writeDocuments({
      url: this.database.url,
      transactions: planTransactions(this.rows),
      writers: 8,
      outbox: openOutbox(),
      journal,
      lateMs: LATE_MS,
      pace,
      onProgress: () => {},
      signal: t.signal,
    })
    await journal.close()
  }

  /** When all rows of the log have come to the sink. */
  async account(): Promise<RecordedAccount> {
    const logged = async () => (await readPostgres(this.database.url)).log.length
    await waitFor(async () => new Set(this.sink.ids).size >= (await logged()), {
      timeoutMs: 20_000,
      intervalMs: 100,
      describe: () => `all rows of the log to arrive; ${this.sink.rows.length} have`,
    })
    return makeRecordedAccount({
      journal: await readTransactionJournal(this.#journals),
      postgres: await readPostgres(this.database.url),
      ledger: this.sink.rows.flatMap(toLines),
      // The sink has no handler that could fail.
      dying: new Set(),
      walk: {
        jobs: [],
        positions: new Map(
          [...(await this.sink.positions())].map(([lane, { logId, n, epoch, digest }]) => [
            String(lane),
            { logId, n, epoch, rows: 0, digest },
          ]),
        ),
      },
      lateMs: LATE_MS,
    })
  }

  #relay(): Relay<readonly LogRow[]> {
    return new Relay({
      connect: () => PostgresConnection.open({ url: this.database.url }, 'moca:relay'),
      open: () => ({
        sink: this.sink,
        subscriptions: { version: async () => 0, reload: async () => {}, forget: () => {} },
      }),
      sinkName: this.sink.name,
      schema: 'moca',
      namespace: NAMESPACE,
      settings: { leaseMs: 10_000, pollIntervalMs: 5, redriveMaxMs: 600_000 },
      log: silentLogger,
    })
  }
}

/** What handlers would write down of a row that arrived, for each subscription that it is for. */
function toLines(row: LogRow, index: number): DeliveryLine[] {
  const payload = JSON.parse(row.payload) as unknown
  const numbered = row.kind === 'job' ? (payload as Numbered) : identify(payload as EnvelopeFacts)
  const routes =
    row.kind === 'job' ? [row.type] : SUBSCRIPTIONS.filter((each) => matches(each, row)).map(({ name }) => name)
  return routes.map((route) => ({
    route,
    ...numbered,
    id: row.kind === 'job' ? row.id : `${route}-${row.id}`,
    eventId: row.kind === 'job' ? undefined : row.id,
    queue: 'default',
    key: `${route}/${row.key}`,
    fence: String(index),
    attempt: 1,
    pid: 1,
    us: index,
    outcome: 'succeeded',
  }))
}

test('what eight writers commit, late or with a lost answer, adds up with the table, the log and what relays bring', async (t) => {
  const scene = await Scene.open(t, 600)
  scene.relay()
  await scene.write(t)
  const { documents, events, problems } = await scene.account()
  t.diagnostic(JSON.stringify({ documents, events }))
  assert.deepEqual(problems, [])
  assert.equal(documents.committed, documents.inTable)
  assert.equal(events.lost, 0)
})

test('an event whose row was deleted from the log before it was relayed is named', async (t) => {
  const { scene, told } = await damaged(t, 'log-row-deleted')
  const { problems, events } = await scene.account()
  const missing = problems.find(({ kind }) => kind === 'log-row-missing')
  assert.ok(missing && told.includes(missing.expected.split(/[ ,]/)[4] ?? '?'), `${told}: ${missing?.expected}`)
  assert.deepEqual(
    problems.map(({ kind, id }) => [kind, id]),
    [
      ['log-row-missing', missing.id],
      ['event-lost', `report ${missing.id}`],
    ],
  )
  assert.equal(events.lost, 1)
})

test('events that were swapped in the log before they were relayed are named', async (t) => {
  const { scene, told } = await damaged(t, 'events-swapped')
  const { problems, events } = await scene.account()
  const [, subject = ''] = /of (country:\w\w) were swapped/.exec(told) ?? []
  assert.deepEqual(
    problems.map(({ kind, id }) => [kind, id.replace(/ \d+$/, '')]),
    [
      ['log-out-of-order', subject],
      ['event-out-of-order', `report ${subject}`],
    ],
  )
  assert.equal(events.outOfOrder, 1)
})

/** A run during which something was done to the log. */
async function damaged(t: TestContext, fault: 'log-row-deleted' | 'events-swapped') {
  const scene = await Scene.open(t, 1_500)
  scene.relay()
  let isPlanted = false
  const planting = plantInLog(fault, scene.database.url, t.signal).finally(() => {
    isPlanted = true
  })
  // Slow as long as somebody waits for an opportunity.
  await scene.write(t, () => wait(isPlanted ? 0 : 200))
  const told = await planting
  t.diagnostic(told)
  return { scene, told }
}
