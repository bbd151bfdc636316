import type { ParentLink } from '../../child.ts'
import type { BatchAnswer, JobReceiver } from '../../../src/job/job-receiver.ts'
import type { PostgresConnection, QueryOptions } from '../../../src/postgres/connection.ts'
import { openMocaRelay } from '../systems/moca-relay.ts'
import { type Timings, type TimedStatement, timedStatements } from './curve.ts'

export interface LongRelayArgs {
  readonly databaseUrl: string
}

/** What it says when it is asked: rows that it has relayed, and how long its queries took since it was asked before. */
export interface RelayReport {
  readonly relayed: number
  readonly timings: Timings
}

/**
 * A relay whose sink takes everything at once and keeps nothing, so that what grows is the database alone. Answers each word of the parent
 * with a report, until the word is `finish`.
 *
 * @public A child process finds it by its name.
 */
export async function longRelay({ databaseUrl }: LongRelayArgs, parent: ParentLink): Promise<void> {
  const receiver = new NothingReceiver()
  let timings = emptyTimings()
  const relay = openMocaRelay({
    databaseUrl,
    receiver,
    onConnection: (connection) => watch(connection, (name, ms) => timings[name].push(ms)),
  })
  await relay.start()
  parent.send('ready')
  for (;;) {
    const word = await parent.receive()
    parent.send({ relayed: receiver.rows, timings } satisfies RelayReport)
    timings = emptyTimings()
    if (word === 'finish') return relay.close()
  }
}

/** Takes the time of a connection's queries, by the names of their prepared statements, from the call to the answer. */
function watch(connection: PostgresConnection, onTime: (name: TimedStatement, ms: number) => void): void {
  const query = connection.query.bind(connection)
  const timed = async <Row>(text: string, values?: readonly unknown[], options?: QueryOptions): Promise<Row[]> => {
    const fromMs = performance.now()
    const rows = await query<Row>(text, values, options)
    const name = timedStatements.find((name) => options?.name === `moca-${name}`)
    if (name) onTime(name, performance.now() - fromMs)
    return rows
  }
  Object.assign(connection, { query: timed })
}

function emptyTimings(): Record<TimedStatement, number[]> {
  return { look: [], 'read-begun': [], 'read-late': [], intend: [] }
}

/** Remembers positions, and checks that no batch is left out. */
class NothingReceiver implements JobReceiver {
  readonly #positions = new Map<string, Parameters<JobReceiver['receive']>[0]>()
  rows = 0

  async receive(batch: Parameters<JobReceiver['receive']>[0]): Promise<BatchAnswer> {
    const found = this.#positions.get(batch.unit)
    if (found?.n === batch.n && found.digest === batch.digest) return { status: 'done' }
    if (batch.n !== (found?.n ?? 0) + 1) return { status: 'forgot', found }
    this.#positions.set(batch.unit, { ...batch, jobs: [], announcements: [] })
    this.rows += batch.jobs.length
    return { status: 'applied' }
  }

  async positions() {
    return this.#positions
  }

  async setPositions(): Promise<void> {
    throw new Error('Nobody rebases a benchmark')
  }

  async publish(): Promise<never> {
    throw new Error('Nobody emits in this benchmark')
  }
}
