import { Client } from 'pg'
import { type PostgresServer, startPostgres } from '../../test/support/postgres-server.ts'
import { waitFor } from '../../test/support/wait-for.ts'
import type { RecordedEvidence } from '../account/recorded-account.ts'
import type { ImportRow } from '../cities.ts'
import { readDeliveryLedger } from '../delivery-ledger.ts'
import { subjects } from '../recorded.ts'
import type { RunDirectory } from '../run-directory.ts'
import { prepareDatabase } from './database.ts'
import { planTransactions } from './plan-transactions.ts'
import { readPostgres } from './read-postgres.ts'
import { openTransactionJournal, readTransactionJournal, type TransactionJournal } from './transaction-journal.ts'
import { type WritersOptions, writeDocuments } from './writers.ts'

export const WRITERS = 8

export interface DocumentStageOptions {
  readonly directory: Pick<RunDirectory, 'transactions' | 'deliveries'>
  readonly namespace: string
  readonly rows: readonly ImportRow[]
  /** How long late transactions stay open. */
  readonly lateMs: number
}

/** PostgreSQL with the documents of the demo, and those who write them. */
export class DocumentStage {
  readonly postgres: PostgresServer
  /** Plain SQL, to look around. */
  readonly sql: Client
  readonly transactions: number
  readonly #options: DocumentStageOptions
  readonly #plan: WritersOptions['transactions']
  readonly #journal: TransactionJournal

  private constructor(
    options: DocumentStageOptions,
    parts: { readonly postgres: PostgresServer; readonly sql: Client; readonly journal: TransactionJournal },
  ) {
    this.#options = options
    this.#plan = planTransactions(options.rows)
    this.#journal = parts.journal
    this.transactions = this.#plan.length
    this.postgres = parts.postgres
    this.sql = parts.sql
  }

  /** Ends what it has begun when it fails. */
  static async open(options: DocumentStageOptions): Promise<DocumentStage> {
    // Nobody kills this server, so commits need not wait for the disk.
    const postgres = await startPostgres({ settings: { max_connections: '60' } })
    try {
      await prepareDatabase(postgres.url, options.namespace)
      const sql = new Client({ connectionString: postgres.url })
      sql.on('error', () => {}) // told by the statements
      await sql.connect()
      const journal = await openTransactionJournal(options.directory.transactions, 'writers')
      return new DocumentStage(options, { postgres, sql, journal })
    } catch (error) {
      await postgres.stop()
      throw error
    }
  }

  /** Writes every city that the source has, by eight writers at once. `pace` is told the number of a transaction. */
  async write(options: Pick<WritersOptions, 'outbox' | 'pace' | 'onProgress' | 'signal'>): Promise<void> {
    await writeDocuments({
      ...options,
      url: this.postgres.url,
      transactions: this.#plan,
      writers: WRITERS,
      journal: this.#journal,
      lateMs: this.#options.lateMs,
    })
  }

  /** Resolves when so many relays have taken lanes. */
  async relaysAreThere(relays: number, signal: AbortSignal): Promise<void> {
    const owners = async () => {
      const { rows } = await this.sql.query<{ relays: number }>(
        'select count(distinct relay)::integer as relays from moca.lease where relay is not null',
      )
      return rows[0]?.relays ?? 0
    }
    await waitFor(async () => signal.aborted || (await owners()) === relays, {
      timeoutMs: 30_000,
      intervalMs: 50,
      describe: `${relays} relays to share the lanes`,
    })
  }

  async evidence(): Promise<Omit<RecordedEvidence, 'walk'>> {
    const { directory, rows, lateMs } = this.#options
    const bad = rows.filter(({ fate }) => fate === 'dies')
    return {
      journal: await readTransactionJournal(directory.transactions),
      postgres: await readPostgres(this.postgres.url),
      ledger: await readDeliveryLedger(directory.deliveries),
      dying: new Set(bad.map(({ row }) => subjects.city(row.cityId))),
      lateMs,
    }
  }

  /** Lets the server live on after the demo. */
  async release(): Promise<void> {
    await this.#journal.close()
    await this.sql.end().catch(() => {})
    this.postgres.release()
  }

  /** Ends the server. */
  async close(): Promise<void> {
    await this.#journal.close()
    await this.sql.end().catch(() => {})
    await this.postgres.stop()
  }
}
