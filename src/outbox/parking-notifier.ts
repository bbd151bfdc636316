import type { Queryable } from '../postgres/connection.ts'
import { loadStatements } from './statements.ts'

/** Records an event of topic moca.notifications for each parked key: its later events wait until somebody does something about it. */
export class ParkingNotifier {
  readonly #database: Queryable
  readonly #sql: Readonly<Record<'tell-parked-keys', string>>

  constructor(database: Queryable, schema: string) {
    this.#database = database
    this.#sql = loadStatements(['tell-parked-keys'], schema)
  }

  /** Returns how many it told of. Any number of processes may do so at once: each key is told once. */
  async runOnce(): Promise<number> {
    const [row] = await this.#database.query<{ told: number }>(this.#sql['tell-parked-keys'], [])
    return row?.told ?? 0
  }
}
