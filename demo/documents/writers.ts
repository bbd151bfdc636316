import { setTimeout as wait } from 'node:timers/promises'
import { Random } from '../../test/chaos/random.ts'
import type { CityRow } from '../jobs.ts'
import { monotonicUs } from '../monotonic.ts'
import type { Fate, PlannedTransaction } from './plan-transactions.ts'
import { settleTransaction } from './settle-transaction.ts'
import { runTransaction, type TransactionDeps, UnknownOutcomeError, type Work } from './transaction.ts'
import type { DocumentChange, Outcome } from './transaction-journal.ts'
import { WriterConnection } from './writer-connection.ts'

export interface WritersOptions extends TransactionDeps {
  readonly url: string
  readonly transactions: readonly PlannedTransaction[]
  readonly writers: number
  /** Resolves when transaction `n` may begin. */
  readonly pace: (n: number) => Promise<void>
  /** Told after each: cities written so far. */
  readonly onProgress: (cities: number) => void
  /** How long PostgreSQL may be away. Default 60,000. */
  readonly patienceMs?: number
}

const RETRY_EVERY_MS = 100

/** Does all transactions, by several writers at once. Each is done again until it is committed. */
export async function writeDocuments(options: WritersOptions): Promise<void> {
  const documents = new KnownDocuments()
  const failed = new AbortController()
  const signal = AbortSignal.any([options.signal, failed.signal])
  const queue = options.transactions.entries()
  let cities = 0
  const work = async () => {
    const writer = new Writer({ ...options, signal }, documents)
    try {
      for (const [n, planned] of queue) {
        await options.pace(n)
        await writer.write(planned)
        cities += planned.cities.length
        options.onProgress(cities)
      }
    } catch (error) {
      failed.abort(error) // the others need not go on
      throw error
    } finally {
      await writer.close()
    }
  }
  const endings = await Promise.allSettled(Array.from({ length: options.writers }, work))
  const failure = endings.find((ending) => ending.status === 'rejected')
  if (failure) throw failure.reason
}

class Writer {
  readonly #options: WritersOptions
  readonly #documents: KnownDocuments
  #connection: WriterConnection | undefined

  constructor(options: WritersOptions, documents: KnownDocuments) {
    this.#options = options
    this.#documents = documents
  }

  /** Until it is committed: what was rolled back is done again, under another name. */
  async write(planned: PlannedTransaction): Promise<void> {
    const until = performance.now() + (this.#options.patienceMs ?? 60_000)
    for (let attempt = 1; ; attempt++) {
      this.#options.signal.throwIfAborted()
      const name = `${planned.name}.${attempt}`
      try {
        // What was to go wrong has gone wrong with the first attempt.
        if ((await this.#attempt(name, planned, attempt === 1 ? planned.fate : 'commit')) === 'committed') return
      } catch (error) {
        if (this.#options.signal.aborted || performance.now() > until) throw error
        await this.#drop()
        await wait(RETRY_EVERY_MS)
      }
    }
  }

  async close(): Promise<void> {
    await this.#connection?.end()
    this.#connection = undefined
  }

  async #attempt(name: string, planned: PlannedTransaction, fate: Fate): Promise<Outcome> {
    const work: Work = {
      ...planned,
      updates: this.#documents.pick(planned.updates),
      deletes: this.#documents.pick(planned.deletes),
    }
    const connection = await this.#connect()
    const done: { changes: readonly DocumentChange[] } = { changes: [] }
    const outcome = await runTransaction(connection, { name, fate, work: distinct(work), deps: this.#options }).then(
      (changes): Outcome => {
        done.changes = changes
        return fate === 'rollback' ? 'rolled-back' : 'committed'
      },
      (error: unknown) => {
        if (!(error instanceof UnknownOutcomeError)) throw error
        return this.#settle(name)
      },
    )
    if (outcome === 'committed') this.#documents.learn(planned, done.changes)
    return outcome
  }

  /** Looks at PostgreSQL, for as long as it takes, on a connection of its own. */
  async #settle(name: string): Promise<Outcome> {
    await this.#drop()
    const until = performance.now() + (this.#options.patienceMs ?? 60_000)
    for (;;) {
      try {
        const outcome = await settleTransaction(await this.#connect(), name)
        await this.#options.journal.append({ kind: 'settled', transaction: name, us: monotonicUs(), outcome })
        return outcome
      } catch (error) {
        if (this.#options.signal.aborted || performance.now() > until) throw error
        await this.#drop()
        await wait(RETRY_EVERY_MS)
      }
    }
  }

  async #connect(): Promise<WriterConnection> {
    this.#connection ??= await WriterConnection.open(this.#options.url)
    return this.#connection
  }

  /** Whatever it was doing is rolled back. */
  async #drop(): Promise<void> {
    this.#connection?.break()
    this.#connection = undefined
  }
}

/** What is deleted is not changed before. */
function distinct(work: Work): Work {
  return { ...work, updates: work.updates.filter((cityId) => !work.deletes.includes(cityId)) }
}

/** Documents that were committed, as far as the writers know: others may be about to delete them. */
class KnownDocuments {
  readonly #random = new Random(2)
  #ids: number[] = []

  learn({ cities }: PlannedTransaction, changes: readonly DocumentChange[]): void {
    for (const { cityId, coordinates } of cities) if (isSound(coordinates)) this.#ids.push(cityId)
    const deleted = new Set(changes.filter(({ action }) => action === 'deleted').map(({ cityId }) => cityId))
    if (deleted.size > 0) this.#ids = this.#ids.filter((cityId) => !deleted.has(cityId))
  }

  pick(count: number): number[] {
    if (this.#ids.length === 0) return []
    return [...new Set(Array.from({ length: count }, () => this.#random.pick(this.#ids)))]
  }
}

/** A city that cannot be enriched is left as it is: its first event is a dead letter. */
function isSound(coordinates: CityRow['coordinates']): boolean {
  return coordinates !== null && Math.abs(coordinates[1]) <= 90
}
