import type { Queryable } from '../postgres/connection.ts'
import { quoteIdentifier } from '../postgres/identifier.ts'

/** Why an index cannot be built or brought on: somebody tries, and fails. */
export interface Standstill {
  readonly reason: string
  readonly since: Date
  readonly triedAt: Date
}

const LONGEST_REASON = 1_000
/** Who keeps an index tries it about every second. Where nobody has for so long, it does not stand still: nobody keeps it. */
const FORGOTTEN_AFTER = "interval '1 minute'"

/** Indexes that stand still (`search_standstill`), and why: for people who look from elsewhere than the log of who keeps them. */
export class Standstills {
  readonly #database: Queryable
  readonly #schema: string

  constructor(database: Queryable, schema: string) {
    this.#database = database
    this.#schema = quoteIdentifier(schema)
  }

  /** It was tried, and failed. */
  async note(index: string, reason: string): Promise<void> {
    const text = `
insert into ${this.#schema}.search_standstill as present (index_name, reason) values ($1, $2)
on conflict (index_name) do update set
  reason = excluded.reason, tried_at = excluded.tried_at,
  since = case when present.tried_at < excluded.tried_at - ${FORGOTTEN_AFTER} then excluded.since else present.since end`
    await this.#database.query(text, [index, reason.slice(0, LONGEST_REASON).toWellFormed()])
  }

  /** It goes on, or is no more. */
  async end(index: string): Promise<void> {
    await this.#database.query(`delete from ${this.#schema}.search_standstill where index_name = $1`, [index])
  }

  /** Undefined: it goes on, or nobody tries it. */
  async find(index: string): Promise<Standstill | undefined> {
    const text = `
select reason, since, tried_at as "triedAt" from ${this.#schema}.search_standstill
where index_name = $1 and tried_at > clock_timestamp() - ${FORGOTTEN_AFTER}`
    const [row] = await this.#database.query<Standstill>(text, [index])
    return row
  }
}
