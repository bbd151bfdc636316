import { Client, Pool } from 'pg'
import { silentLogger } from '../../src/logger.ts'
import { rebuildIndex } from '../../src/search/rebuild.ts'
import { settingsOf } from '../../src/search/projection.ts'
import { SearchSync } from '../../src/search/search-sync.ts'
import type { ParentLink } from '../child.ts'
import { monotonicMs, sleep } from '../clock.ts'
import { playMetronome } from '../queue/metronome.ts'
import { CITY, openBenchIndex } from './bench-index.ts'

// What runs in processes of its own.

export interface Place {
  readonly databaseUrl: string
}

export interface RebuildResult {
  readonly documents: number
  /** Copying alone, and all of it. */
  readonly copyMs: number
  readonly ms: number
  readonly largestMB: number
}

/** @public A child process finds it by its name. */
export async function rebuild({ databaseUrl }: Place): Promise<RebuildResult> {
  const { index, database } = openBenchIndex(databaseUrl, 'rebuild')
  let largest = 0
  let copyMs = 0
  const watch = setInterval(() => {
    largest = Math.max(largest, process.memoryUsage().rss)
  }, 50)
  const beganAtMs = monotonicMs()
  const { documents } = await rebuildIndex(index, {
    onProgress: ({ step }) => {
      if (step === 'copying') copyMs = monotonicMs() - beganAtMs
    },
  })
  const ms = monotonicMs() - beganAtMs
  clearInterval(watch)
  await database.close()
  return { documents, copyMs, ms, largestMB: largest / 1e6 }
}

export interface SubmitResult {
  readonly documents: number
  /** Of the engine's `submit` alone. */
  readonly submitMs: number
}

/**
 * The same documents through the engine's `submit`, without anything else: reading and projecting are not counted.
 *
 * @public A child process finds it by its name.
 */
export async function submitAlone({ databaseUrl }: Place): Promise<SubmitResult> {
  const { index, database } = openBenchIndex(databaseUrl, 'submit')
  const target = { index: 'City', generation: 'alone' }
  await index.engine.create(target, settingsOf(CITY))
  let documents = 0
  let submitMs = 0
  let after: string | undefined
  for (let submission = 1; ; submission++) {
    const rows = await index.rows.readPage(after, 1_000)
    if (rows.length === 0) break
    const put = await index.project(rows)
    const beganAtMs = monotonicMs()
    await index.engine.submit({ target, version: { epoch: 1, submission }, put, delete: [] })
    submitMs += monotonicMs() - beganAtMs
    documents += put.length
    after = rows.at(-1)?.docname
  }
  await index.engine.drop(target)
  await database.close()
  return { documents, submitMs }
}

/**
 * Search sync, until the parent says that it is enough. Tells how much of a core it took.
 *
 * @public A child process finds it by its name.
 */
export async function sync({ databaseUrl }: Place, parent: ParentLink): Promise<{ readonly cpuMs: number }> {
  const { index, database } = openBenchIndex(databaseUrl, 'sync')
  const service = new SearchSync({ indexes: [index], log: silentLogger })
  service.start()
  parent.send('started')
  await parent.receive()
  await service.stop()
  await database.close()
  const { user, system } = process.cpuUsage()
  return { cpuMs: (user + system) / 1_000 }
}

export interface ChangeArgs extends Place {
  readonly rows: number
  readonly changesPerSecond: number
  /** Populations are filtered and sorted by; names are what is searched. */
  readonly what: 'population' | 'name'
  /** Rows in one transaction. */
  readonly atOnce: number
  readonly seconds: number
  /** Of one change in so many it is measured when it can be found. 0: of none. */
  readonly probedShare: number
}

export interface ChangeResult {
  readonly changes: number
  readonly ms: number
  /** From the answer to the commit until a query of the index gives the new version. */
  readonly delaysMs: Float64Array
}

const CHANGES = {
  population: 'population = c.population + 1',
  name: "name = split_part(c.name, ' v', 1) || ' v' || c.version + 1",
} as const
const CONNECTIONS = 4
const PROBE_EVERY_MS = 3
const PROBE_LIMIT_MS = 30_000

/**
 * Changes rows at a fixed rate.
 *
 * @public A child process finds it by its name.
 */
export async function change(args: ChangeArgs): Promise<ChangeResult> {
  const { databaseUrl, rows, changesPerSecond, what, atOnce, seconds, probedShare } = args
  const open = async () => {
    const client = new Client({ connectionString: databaseUrl })
    await client.connect()
    return client
  }
  const writers = await Promise.all(Array.from({ length: CONNECTIONS }, open))
  // Each query of a pool has a connection of its own.
  const prober = new Pool({ connectionString: databaseUrl, max: CONNECTIONS })
  const { rows: live } = await prober.query<{ id: number }>(
    "select id from moca.search_generation where index_name = 'City' and is_live",
  )
  const look = `select (fields ->> 'version')::integer as version from moca.search_document_${live[0]?.id} where id = $1`
  const delays: number[] = []
  const probing: Promise<void>[] = []
  const probe = async (id: number, version: number, sinceMs: number) => {
    while (monotonicMs() - sinceMs < PROBE_LIMIT_MS) {
      const { rows: found } = await prober.query<{ version: number }>({
        name: 'look',
        text: look,
        values: [String(id)],
      })
      if ((found[0]?.version ?? 0) >= version) {
        delays.push(monotonicMs() - sinceMs)
        return
      }
      await sleep(PROBE_EVERY_MS)
    }
    throw new Error(`A change of row ${id} was not found after ${PROBE_LIMIT_MS} ms`)
  }
  const idle = [...writers]
  const waiting: number[] = []
  let done = 0
  const changeSome = async (client: Client, beat: number): Promise<void> => {
    const ids = Array.from({ length: atOnce }, (_, n) => ((beat * atOnce + n) * 48_271) % rows).toSorted(
      (a, b) => a - b,
    )
    const { rows: changed } = await client.query<{ id: number; version: number }>({
      name: 'change',
      text: `with locked as (select id from city where id = any ($1) order by id for update)
        update city c set ${CHANGES[what]}, version = c.version + 1 from locked where c.id = locked.id returning c.id, c.version`,
      values: [ids],
    })
    done += changed.length
    const [first] = changed
    if (probedShare > 0 && beat % probedShare === 0 && first)
      probing.push(probe(first.id, first.version, monotonicMs()))
    const next = waiting.shift()
    if (next === undefined) idle.push(client)
    else await changeSome(client, next)
  }
  const pending: Promise<void>[] = []
  const firstAtMs = monotonicMs() + 200
  const beats = Math.round((changesPerSecond * seconds) / atOnce)
  await playMetronome({ firstAtMs, intervalMs: (atOnce * 1_000) / changesPerSecond, beats }, (beat) => {
    const client = idle.pop()
    if (client) pending.push(changeSome(client, beat))
    else waiting.push(beat)
  })
  await Promise.all(pending)
  const ms = monotonicMs() - firstAtMs
  await Promise.all(probing)
  await Promise.all([...writers, prober].map((each) => each.end()))
  return { changes: done, ms, delaysMs: Float64Array.from(delays) }
}
