import type { Logger } from '../logger.ts'
import type { PostgresConnection, Queryable } from '../postgres/connection.ts'
import type { Database } from '../postgres/database.ts'
import { RepeatedWarning } from '../service/repeated-warning.ts'
import { addPartition, countPartitionsAhead, PARTITIONS_AHEAD, waitingAtMost } from './partitions.ts'
import { loadStatements } from './statements.ts'
import { quoteIdentifier } from '../postgres/identifier.ts'

export interface RetentionDeps {
  readonly database: Database
  readonly schema: string
  /** How long the log is kept, ms. */
  readonly ageMs: number
  /** How large it may grow before it is kept shorter. Undefined: as large as it likes. */
  readonly bytes: number | undefined
  readonly log: Logger
  /** How long the log goes on in one partition, ms. Default: a day. */
  readonly partitionMs?: number
  /** How long it waits for a lock, ms: whoever comes after it waits with it. Default 2,000. */
  readonly lockTimeoutMs?: number
}

export interface RetentionResult {
  /** Whether the log went on in its next partition. */
  readonly moved: boolean
  readonly dropped: readonly number[]
  /** Partitions that are due and must stay, and why. */
  readonly kept: readonly { readonly number: number; readonly reason: string }[]
}

const DAY_MS = 86_400_000
const PRUNE_ROWS = 10_000
const LOCK_TIMEOUT_MS = 2_000
// A detachment waits for each transaction that is in its way, one after another, and for each so long as a lock may take.
const PATIENCE = { replyTimeoutMs: 120_000 }

const NAMES = ['list-closed-partitions', 'needs-partition', 'forget-partition', 'prune-positions'] as const

interface ClosedPartition {
  readonly number: number
  readonly is_old: boolean
  readonly bytes: number
  readonly state: 'attached' | 'detaching' | 'detached' | 'gone'
}

/**
 * Keeps the log in daily partitions, and drops those that are old or too many. Never one of which a row is not relayed: that is said
 * instead, again and again. Any number of processes may do it at once.
 */
export class Retention {
  readonly #deps: RetentionDeps
  readonly #warning: RepeatedWarning
  readonly #sql: Readonly<Record<(typeof NAMES)[number], string>>
  readonly #schema: string

  constructor(deps: RetentionDeps) {
    this.#deps = deps
    this.#warning = new RepeatedWarning(deps.log)
    this.#sql = loadStatements(NAMES, deps.schema)
    this.#schema = quoteIdentifier(deps.schema)
  }

  async runOnce(signal?: AbortSignal): Promise<RetentionResult> {
    // Of its own: what it sets for its session must not hold for others.
    const connection = await this.#deps.database.openConnection()
    try {
      return await this.#runOn(connection, signal)
    } finally {
      connection.destroy()
    }
  }

  /** The partitions that are due and must stay, and why. Changes nothing. */
  async review(database: Queryable): Promise<RetentionResult['kept']> {
    const kept: { number: number; reason: string }[] = []
    for (const partition of await this.#due(database)) {
      const reason = await this.#whyKept(database, partition)
      if (reason !== undefined) kept.push({ number: partition.number, reason })
    }
    return kept
  }

  async #runOn(connection: PostgresConnection, signal: AbortSignal | undefined): Promise<RetentionResult> {
    await this.#prepareAhead(connection)
    const moved = await this.#moveOn(connection)
    const dropped: number[] = []
    const kept: { number: number; reason: string }[] = []
    for (const partition of await this.#due(connection)) {
      if (signal?.aborted) break
      const reason = await this.#whyKept(connection, partition)
      if (reason === undefined && (await this.#drop(connection, partition))) dropped.push(partition.number)
      else kept.push({ number: partition.number, reason: reason ?? 'a transaction is in the way' })
    }
    await connection.query(this.#sql['prune-positions'], [this.#deps.ageMs, PRUNE_ROWS], PATIENCE)
    this.#tell(kept)
    return { moved, dropped, kept }
  }

  async #prepareAhead(connection: PostgresConnection): Promise<void> {
    for (let ready = await countPartitionsAhead(connection, this.#deps.schema); ready < PARTITIONS_AHEAD; ready++) {
      const made = await this.#unlessHeld('A partition could not be made ahead now', () =>
        waitingAtMost(connection, this.#lockTimeoutMs, (transaction) =>
          addPartition(transaction, this.#deps.schema, PATIENCE.replyTimeoutMs),
        ),
      )
      if (!made) return
    }
  }

  async #moveOn(connection: PostgresConnection): Promise<boolean> {
    let isMoved = false
    await this.#unlessHeld('The log could not go on in its next partition now', async () => {
      const [row] = await waitingAtMost(connection, this.#lockTimeoutMs, (transaction) =>
        transaction.query<{ moved: string }>(`select ${this.#schema}.move_on($1::bigint * interval '1 ms') as moved`, [
          this.#deps.partitionMs ?? DAY_MS,
        ]),
      )
      isMoved = row?.moved === 'moved'
    })
    return isMoved
  }

  /** The partitions to drop, oldest first: those that are old, and as many more as are above the limit in bytes. */
  async #due(database: Queryable): Promise<ClosedPartition[]> {
    const { schema, ageMs, bytes = Infinity } = this.#deps
    const closed = await database.query<ClosedPartition>(this.#sql['list-closed-partitions'], [schema, ageMs])
    let total = closed.reduce((sum, partition) => sum + partition.bytes, 0)
    return closed.filter((partition) => {
      const isDue = partition.is_old || total > bytes
      if (isDue) total -= partition.bytes
      return isDue
    })
  }

  async #whyKept(database: Queryable, { number, state }: ClosedPartition): Promise<string | undefined> {
    // It was found free of anything when its detachment began.
    if (state !== 'attached') return undefined
    const reasons = await database.query<{ sink: string | null; lane: number | null; reason: string }>(
      this.#sql['needs-partition'],
      [number],
    )
    const [first] = reasons
    if (!first) return undefined
    const where = first.sink === null ? '' : ` (sink ${first.sink}, lane ${first.lane})`
    return `${first.reason}${where}${reasons.length > 1 ? ` and ${reasons.length - 1} more` : ''}`
  }

  /** False: something holds it at the moment, and it is tried again next time. */
  async #drop(connection: PostgresConnection, { number, state }: ClosedPartition): Promise<boolean> {
    const table = `${this.#schema}.outbox_${number}`
    const isDone = await this.#unlessHeld(`Partition ${number} of the log could not be dropped now`, async () => {
      if (state === 'attached' || state === 'detaching') await this.#detach(connection, table, state)
      if (state !== 'gone')
        await waitingAtMost(connection, this.#lockTimeoutMs, (transaction) =>
          transaction.query(`drop table ${table}`, [], PATIENCE),
        )
      await connection.query(this.#sql['forget-partition'], [number])
    })
    if (isDone) this.#deps.log.info({ partition: number }, 'Dropped a partition of the log')
    return isDone
  }

  /** Concurrently, so that nobody waits behind it: that cannot be in a transaction, and behind a pooler its limit can be nowhere else. */
  async #detach(connection: PostgresConnection, table: string, state: 'attached' | 'detaching'): Promise<void> {
    const detach = `alter table ${this.#schema}.outbox detach partition ${table}`
    if (state === 'detaching' || connection.isPooled) {
      await waitingAtMost(connection, this.#lockTimeoutMs, (transaction) =>
        transaction.query(state === 'detaching' ? `${detach} finalize` : detach, [], PATIENCE),
      )
      return
    }
    await connection.query(`set lock_timeout = ${this.#lockTimeoutMs}`)
    await connection.query(`${detach} concurrently`, [], PATIENCE)
  }

  get #lockTimeoutMs(): number {
    return this.#deps.lockTimeoutMs ?? LOCK_TIMEOUT_MS
  }

  /** False: a transaction holds what it needs. */
  async #unlessHeld(message: string, action: () => Promise<unknown>): Promise<boolean> {
    try {
      await action()
      return true
    } catch (error) {
      // 55P03: lock_timeout. 55000: another process detaches it at this moment.
      const { sqlState } = error as { sqlState?: string }
      if (sqlState !== '55P03' && sqlState !== '55000') throw error
      this.#deps.log.debug({ reason: String(error) }, message)
      return false
    }
  }

  #tell(kept: RetentionResult['kept']): void {
    const [oldest] = kept
    if (!oldest) this.#warning.works('Old partitions of the log can be dropped again')
    else
      this.#warning.failed(oldest.reason, 'Partitions of the log are due and cannot be dropped', {
        partitions: kept.length,
        oldest: oldest.number,
      })
  }
}
