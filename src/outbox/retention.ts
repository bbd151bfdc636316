import type { Logger } from '../logger.ts'
import type { Database } from '../postgres/database.ts'
import { RepeatedWarning } from '../service/repeated-warning.ts'
import { loadStatements, quoteIdentifier } from './statements.ts'

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
}

export interface RetentionResult {
  /** Whether the log went on in its next partition. */
  readonly moved: boolean
  readonly dropped: readonly number[]
  /** Partitions that are due and must stay, and why. */
  readonly kept: readonly { readonly number: number; readonly reason: string }[]
}

/** Partitions that are ready before they are needed: making one takes no lock that a writer waits for, but it may have to wait itself. */
const PARTITIONS_AHEAD = 2
const DAY_MS = 86_400_000
const PRUNE_ROWS = 10_000

const NAMES = [
  'list-closed-partitions',
  'needs-partition',
  'forget-partition',
  'count-future-partitions',
  'prune-positions',
] as const

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
    await this.#prepareAhead()
    const moved = await this.#moveOn()
    const dropped: number[] = []
    const kept: { number: number; reason: string }[] = []
    for (const partition of await this.#due()) {
      if (signal?.aborted) break
      const reason = await this.#whyKept(partition)
      if (reason === undefined && (await this.#drop(partition))) dropped.push(partition.number)
      else kept.push({ number: partition.number, reason: reason ?? 'a transaction is in the way' })
    }
    await this.#deps.database.query(this.#sql['prune-positions'], [this.#deps.ageMs, PRUNE_ROWS])
    this.#tell(kept)
    return { moved, dropped, kept }
  }

  async #prepareAhead(): Promise<void> {
    const { database } = this.#deps
    const [row] = await database.query<{ future: number }>(this.#sql['count-future-partitions'])
    for (let ready = row?.future ?? 0; ready < PARTITIONS_AHEAD; ready++) {
      await database.query(`select ${this.#schema}.add_partition()`)
    }
  }

  async #moveOn(): Promise<boolean> {
    const [row] = await this.#deps.database.query<{ moved: string }>(
      `select ${this.#schema}.move_on($1::bigint * interval '1 ms') as moved`,
      [this.#deps.partitionMs ?? DAY_MS],
    )
    return row?.moved === 'moved'
  }

  /** The partitions to drop, oldest first: those that are old, and as many more as are above the limit in bytes. */
  async #due(): Promise<ClosedPartition[]> {
    const { database, schema, ageMs, bytes = Infinity } = this.#deps
    const closed = await database.query<ClosedPartition>(this.#sql['list-closed-partitions'], [schema, ageMs])
    let total = closed.reduce((sum, partition) => sum + partition.bytes, 0)
    return closed.filter((partition) => {
      const isDue = partition.is_old || total > bytes
      if (isDue) total -= partition.bytes
      return isDue
    })
  }

  async #whyKept({ number, state }: ClosedPartition): Promise<string | undefined> {
    // It was found free of anything when its detachment began.
    if (state !== 'attached') return undefined
    const reasons = await this.#deps.database.query<{ sink: string | null; lane: number | null; reason: string }>(
      this.#sql['needs-partition'],
      [number],
    )
    const [first] = reasons
    if (!first) return undefined
    const where = first.sink === null ? '' : ` (sink ${first.sink}, lane ${first.lane})`
    return `${first.reason}${where}${reasons.length > 1 ? ` and ${reasons.length - 1} more` : ''}`
  }

  /** False: something holds it at the moment, and it is tried again next time. */
  async #drop({ number, state }: ClosedPartition): Promise<boolean> {
    const { database, log } = this.#deps
    const table = `${this.#schema}.outbox_${number}`
    try {
      if (state === 'attached' || state === 'detaching') {
        const how = state === 'attached' ? 'concurrently' : 'finalize'
        await database.query(`alter table ${this.#schema}.outbox detach partition ${table} ${how}`)
      }
      if (state !== 'gone') await database.query(`drop table ${table}`)
      await database.query(this.#sql['forget-partition'], [number])
    } catch (error) {
      // 55P03: lock_timeout. 55000: another process detaches it at this moment.
      const { sqlState } = error as { sqlState?: string }
      if (sqlState !== '55P03' && sqlState !== '55000') throw error
      log.debug({ partition: number, reason: String(error) }, 'A partition could not be dropped now')
      return false
    }
    log.info({ partition: number }, 'Dropped a partition of the log')
    return true
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
