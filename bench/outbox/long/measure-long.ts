import { mkdirSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Client } from 'pg'
import { type Child, type ParentLink, startChild } from '../../child.ts'
import { monotonicMs, sleep } from '../../clock.ts'
import { describeEnvironment } from '../../environment.ts'
import { BenchPostgres, postgresSettings } from '../bench-postgres.ts'
import { prepareMoca } from '../systems/moca-relay.ts'
import { drawCurves, formatRelations, formatStages, type Relation, type Sample, stageOf } from './curve.ts'
import { longRelay, type RelayReport } from './long-relay.ts'

const resultsDir = fileURLToPath(new URL('../../results/', import.meta.url))
const relayModule = new URL('./long-relay.ts', import.meta.url).href
const stages = 50
const writers = 4
const eventsPerTransaction = 50
const keys = 10_000
const longestMs = 3_600_000
/** The events are spread over so many times the hold: after a tenth of them it begins, and it is over before the last one. */
const spread = 1.3

export interface LongOptions {
  readonly events: number
  /** From a tenth of the events on, a transaction that has written stays open for so long. */
  readonly holdMs: number
  /** Where the raw samples, the table and the drawing go; undefined = bench/results/outbox-long.*. */
  readonly outputDir: string | undefined
}

/**
 * Records millions of events while a relay follows, with a transaction held open on the way, and shows what became of the relay's queries
 * and of every table and index. Fails when the relay did not bring all of them to its sink.
 */
export async function measureLong({ events, holdMs, outputDir }: LongOptions): Promise<void> {
  const postgres = await BenchPostgres.start({ fsync: false })
  const { databaseUrl } = postgres
  try {
    await prepareMoca(databaseUrl)
    const options = { deadlineMs: longestMs }
    const relay = startChild(relayModule, longRelay, { databaseUrl }, options)
    await relay.receive()
    const writer = startChild(import.meta.url, writeOn, { databaseUrl, events, spreadMs: holdMs * spread }, options)
    const samples = await watch({ databaseUrl, events, holdMs, relay, writer })
    await writer.result()
    relay.send('finish')
    await relay.result()
    const dir = outputDir ?? resultsDir
    mkdirSync(dir, { recursive: true })
    const version = await postgres.version()
    const all = samples.map((sample, index) => stageOf(sample, samples[index - 1]?.relayed ?? 0))
    const [first, last] = [samples[0] as Sample, samples.at(-1) as Sample]
    const page = formatPage({
      version,
      events,
      holdMs,
      table: formatStages(all),
      relations: formatRelations(first, last),
    })
    writeFileSync(
      `${dir}/outbox-long.json`,
      `${JSON.stringify({ stages: all, relations: last.relations }, undefined, 1)}\n`,
    )
    mkdirSync(`${dir}/raw`, { recursive: true })
    writeFileSync(
      `${dir}/raw/outbox-long-${Date.now()}.jsonl`,
      samples.map((sample) => `${JSON.stringify(sample)}\n`).join(''),
    )
    writeFileSync(`${dir}/outbox-long.svg`, drawCurves(all))
    writeFileSync(`${dir}/outbox-long.md`, page)
    console.log(page)
    if (last.relayed !== last.committed) throw new Error(`Relayed ${last.relayed} of ${last.committed} events`)
  } finally {
    await postgres.stop()
  }
}

interface Scene extends Pick<LongOptions, 'events' | 'holdMs'> {
  readonly databaseUrl: string
  readonly relay: Child<void>
  readonly writer: Child<void>
}

/** A sample for every stage, and one when everything has been relayed. */
async function watch({ databaseUrl, events, holdMs, relay, writer }: Scene): Promise<Sample[]> {
  const client = new Client({ connectionString: databaseUrl })
  await client.connect()
  const holder = new Holder(databaseUrl, holdMs)
  const fromMs = monotonicMs()
  const samples: Sample[] = []
  const take = async (committed: number): Promise<Sample> => {
    relay.send('report')
    const report = (await relay.receive()) as RelayReport
    const relations = await readRelations(client)
    const sample = { atMs: monotonicMs() - fromMs, committed, isHeld: holder.isHolding, relations, ...report }
    samples.push(sample)
    console.log(`${Math.round(sample.atMs / 1000)} s: ${committed} recorded, ${sample.relayed} relayed`)
    return sample
  }
  await take(0)
  writer.send('go')
  let progress: Progress
  do {
    progress = (await writer.receive()) as Progress
    await holder.look(progress.committed >= events / 10)
    await take(progress.committed)
  } while (!progress.isDone)
  await holder.end()
  const { committed } = progress
  for (let left = 600; left > 0 && (await take(committed)).relayed < committed; left--) await sleep(1_000)
  await client.end()
  return samples
}

/** A transaction that has an id and a snapshot, and stays open. */
class Holder {
  readonly #databaseUrl: string
  readonly #holdMs: number
  #client: Client | undefined
  #sinceMs: number | undefined

  constructor(databaseUrl: string, holdMs: number) {
    this.#databaseUrl = databaseUrl
    this.#holdMs = holdMs
  }

  get isHolding(): boolean {
    return this.#client !== undefined
  }

  /** Begins when it may, and ends when the time is over. */
  async look(mayBegin: boolean): Promise<void> {
    if (this.#sinceMs === undefined && mayBegin) {
      this.#sinceMs = monotonicMs()
      this.#client = new Client({ connectionString: this.#databaseUrl })
      await this.#client.connect()
      await this.#client.query('begin isolation level repeatable read')
      await this.#client.query('select pg_current_xact_id()')
    } else if (this.#sinceMs !== undefined && monotonicMs() - this.#sinceMs >= this.#holdMs) await this.end()
  }

  async end(): Promise<void> {
    await this.#client?.end()
    this.#client = undefined
  }
}

/** What the writers say. */
interface Progress {
  readonly committed: number
  readonly isDone: boolean
}

/**
 * Writers that never wait for each other: each has keys of its own, and the numbers of their events in memory. They write evenly over a time,
 * if they can. Says how much is committed, once a stage.
 *
 * @public A child process finds it by its name.
 */
export async function writeOn(
  { databaseUrl, events, spreadMs }: { databaseUrl: string; events: number; spreadMs: number },
  parent: ParentLink,
): Promise<void> {
  await parent.receive()
  const fromMs = monotonicMs()
  let committed = 0
  let told = 0
  const writeAlone = async (writer: number): Promise<void> => {
    const client = new Client({ connectionString: databaseUrl })
    await client.connect()
    const numbers = new Map<string, number>()
    while (committed < events) {
      const aheadMs = (committed / events) * spreadMs - (monotonicMs() - fromMs)
      if (aheadMs > 0) await sleep(aheadMs)
      const chosen = Array.from(
        { length: eventsPerTransaction },
        () => `w${writer}-${Math.floor(Math.random() * keys)}`,
      )
      const ns = chosen.map((key) => {
        const n = (numbers.get(key) ?? 0) + 1
        numbers.set(key, n)
        return n
      })
      await client.query({ name: 'record', text: 'select record_events($1, $2, 0)', values: [chosen, ns] })
      committed += eventsPerTransaction
      if (committed - told < events / stages) continue
      told = committed
      parent.send({ committed, isDone: false } satisfies Progress)
    }
    await client.end()
  }
  await Promise.all(Array.from({ length: writers }, (_, writer) => writeAlone(writer)))
  parent.send({ committed, isDone: true } satisfies Progress)
}

/** Sizes of all tables and indexes of the schema, those of partitions with the log's. */
async function readRelations(client: Client): Promise<Relation[]> {
  const { rows } = await client.query<{ name: string; bytes: string }>(`
select regexp_replace(c.relname, '^outbox_\\d+', 'outbox') as name, sum(pg_relation_size(c.oid)) as bytes
from pg_class c
where c.relnamespace = 'moca'::regnamespace and c.relkind in ('r', 'i')
group by 1 order by 1`)
  return rows.map(({ name, bytes }) => ({ name, kind: kindOf(name), bytes: Number(bytes) }))
}

function kindOf(name: string): Relation['kind'] {
  if (/^outbox(_pkey|_lane_xid_seq_idx)?$/.test(name)) return 'log'
  return /^(outbox_batch|outbox_ack|tick)/.test(name) ? 'notes' : 'hot'
}

interface Page extends Pick<LongOptions, 'events' | 'holdMs'> {
  readonly version: string
  readonly table: string
  readonly relations: string
}

function formatPage({ version, events, holdMs, table, relations }: Page): string {
  const { measuredAt, cpu, cores, memoryGiB, node } = describeEnvironment()
  const settings = Object.entries(postgresSettings).map(([name, value]) => `${name} ${value}`)
  return `# ${events.toLocaleString('en')} events, with a transaction held open for ${holdMs / 1000} s

${measuredAt.slice(0, 10)}, ${cpu}, ${cores} cores, ${memoryGiB} GiB; Node ${node}; PostgreSQL ${version}, fsync off, ${settings.join(', ')}. The relay's sink takes everything at once. Durations are what the relay waited for, from the call to the answer.

![The curves](outbox-long.svg)

${table}

## Tables and indexes

${relations}
`
}
