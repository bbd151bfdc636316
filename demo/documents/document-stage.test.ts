import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { type TestContext, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { Client } from 'pg'
import { requirePostgres, resolveConfig } from '../../src/config/config.ts'
import { createMoca } from '../../src/index.ts'
import { silentLogger } from '../../src/logger.ts'
import { matches } from '../../src/events/fan-out.ts'
import type { LogRow } from '../../src/outbox/log-row.ts'
import { Relay } from '../../src/outbox/relay.ts'
import { Subscribers } from '../../src/outbox/subscribers.ts'
import { PostgresConnection } from '../../src/postgres/connection.ts'
import { Database } from '../../src/postgres/database.ts'
import { searchIndexesOf } from '../../src/search-indexes.ts'
import { SearchSync } from '../../src/search/search-sync.ts'
import { LedgerSink } from '../../test/support/ledger-sink.ts'
import { waitFor } from '../../test/support/wait-for.ts'
import { makeRecordedAccount, type RecordedAccount } from '../account/recorded-account.ts'
import { readRows } from '../cities.ts'
import type { DeliveryLine } from '../delivery-ledger.ts'
import { plantInLog } from '../faults.ts'
import { waitForIndex } from '../index-work.ts'
import demoConfig from '../moca.config.ts'
import { type EnvelopeFacts, identify, type Numbered } from '../recorded.ts'
import { SUBSCRIPTIONS } from '../subscriptions.ts'
import { makeRunDirectory } from '../run-directory.ts'
import { DocumentStage } from './document-stage.ts'

// Real writers, a real log, real relays and a real search index; the sink stands for Redis and the handlers.

const NAMESPACE = 'written'
const LATE_MS = 400

class Scene {
  readonly sink = new LedgerSink('queue')
  readonly stage: DocumentStage
  readonly #relays: readonly Relay<readonly LogRow[]>[]
  readonly #database: Database
  readonly #sync: SearchSync

  private constructor(stage: DocumentStage) {
    this.stage = stage
    this.#relays = [0, 1].map(() => this.#relay())
    const config = resolveConfig({ ...demoConfig, namespace: NAMESPACE, postgres: { url: stage.postgres.url } })
    this.#database = new Database({ ...requirePostgres(config, 'The index'), name: 'moca:search' })
    this.#sync = new SearchSync({
      indexes: searchIndexesOf(config, this.#database, silentLogger),
      log: silentLogger,
    })
  }

  static async open(t: TestContext, cities: number): Promise<Scene> {
    const directory = await makeRunDirectory()
    t.after(() => rm(directory.path, { recursive: true }))
    const rows = readRows(cities)
    const scene = new Scene(await DocumentStage.open({ directory, namespace: NAMESPACE, rows, lateMs: LATE_MS }))
    t.after(async () => {
      await Promise.all([...scene.#relays, scene.#sync].map((service) => service.stop()))
      await scene.#database.close()
      await scene.stage.close()
    })
    for (const service of [...scene.#relays, scene.#sync]) service.start()
    return scene
  }

  async write(t: TestContext, pace: () => Promise<void> = async () => {}): Promise<void> {
    await using moca = createMoca({ namespace: NAMESPACE, postgres: { url: this.stage.postgres.url } })
    await this.stage.write({ outbox: moca.outbox, pace, onProgress: () => {}, signal: t.signal })
  }

  /** When all rows of the log have come to the sink, and all documents to the index. */
  async account(): Promise<RecordedAccount> {
    const sql = new Client({ connectionString: this.stage.postgres.url })
    await sql.connect()
    try {
      await this.#everythingHasArrived(sql)
      await waitForIndex(sql)
    } finally {
      await sql.end()
    }
    return makeRecordedAccount({
      ...(await this.stage.evidence()),
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
    })
  }

  async #everythingHasArrived(sql: Client): Promise<void> {
    let missing: readonly { readonly id: string; readonly seq: string; readonly lane: number }[] = []
    await waitFor(
      async () => {
        const arrived = new Set(this.sink.ids)
        const { rows } = await sql.query<(typeof missing)[number]>('select id, seq, lane from moca.outbox')
        missing = rows.filter(({ id }) => !arrived.has(id))
        return missing.length === 0
      },
      {
        timeoutMs: 60_000,
        intervalMs: 50,
        describe: () =>
          `all rows of the log to arrive; ${this.sink.rows.length} have, not ${JSON.stringify(missing.slice(0, 20))}`,
      },
    )
  }

  #relay(): Relay<readonly LogRow[]> {
    return new Relay({
      connect: () => PostgresConnection.open({ url: this.stage.postgres.url }, 'moca:relay'),
      open: (connection, logId) => ({
        sink: this.sink,
        subscriptions: new Subscribers(connection, { schema: 'moca', logId, announcesDoctypes: false }),
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
  await scene.write(t)
  const { documents, events, problems } = await scene.account()
  t.diagnostic(JSON.stringify({ documents, events }))
  assert.deepEqual(problems, [])
  assert.equal(documents.committed, documents.inTable)
  assert.equal(events.lost, 0)
})

test('it adds up although PostgreSQL crashes again and again while they write', async (t) => {
  const scene = await Scene.open(t, 1_500)
  const { postgres } = scene.stage
  let crashes = 0
  const crashing = (async () => {
    for (; crashes < 3; crashes++) {
      const before = scene.sink.rows.length
      await waitFor(() => scene.sink.rows.length > before + 100, { timeoutMs: 30_000, describe: 'a hundred events' })
      await postgres.kill('SIGKILL')
      await postgres.start()
    }
  })()
  // Slow as long as there is something to crash.
  await Promise.all([scene.write(t, () => wait(crashes < 3 ? 150 : 0)), crashing])
  const { documents, events, problems } = await scene.account()
  const { journal } = await scene.stage.evidence()
  const settled = journal.filter(({ kind }) => kind === 'settled').length
  t.diagnostic(JSON.stringify({ documents, events, settled }))
  assert.deepEqual(problems, [])
})

test('writers give up at once when they are asked to stop, a late transaction included', async (t) => {
  const scene = await Scene.open(t, 300)
  const stop = new AbortController()
  await using moca = createMoca({ namespace: NAMESPACE, postgres: { url: scene.stage.postgres.url } })
  const writing = scene.stage.write({
    outbox: moca.outbox,
    pace: async () => {},
    onProgress: () => stop.abort(),
    signal: stop.signal,
  })
  await assert.rejects(writing, { name: 'AbortError' })
  const open = () => scene.stage.sql.query(`select from pg_stat_activity where application_name = 'demo writer'`)
  await waitFor(async () => (await open()).rows.length === 0, { describe: 'their connections to end' })
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
  let isPlanted = false
  const planting = plantInLog(fault, scene.stage.postgres.url, t.signal).finally(() => {
    isPlanted = true
  })
  // Slow as long as somebody waits for an opportunity.
  await scene.write(t, () => wait(isPlanted ? 0 : 200))
  const told = await planting
  t.diagnostic(told)
  return { scene, told }
}
