import { setTimeout as wait } from 'node:timers/promises'
import { migrate } from '../../../src/outbox/migrations.ts'
import { PostgresConnection } from '../../../src/postgres/connection.ts'
import { type Ended, Project, type Running } from '../../support/command-line.ts'
import { type PostgresServer, startPostgres, type TestDatabase } from '../../support/postgres-server.ts'
import { waitFor } from '../../support/wait-for.ts'
import type { Random } from '../random.ts'
import type { FoundNotes } from './notes.ts'
import { judgeSearch, type SearchVerdict, type Wanted } from './verdict.ts'

/** Short, so that a writer of an index that was stopped is taken over from soon; the default is 10 s. */
export const INDEX_LEASE_MS = 2_000
const WRITERS = 4
/** Countries that never change: what is lost of a city of theirs stays lost, for no change of a country has it written anew. */
const COUNTRIES = 8
/** Only the latest countries change. */
const CHANGING_COUNTRIES = 4
const NAMESPACE = 'chaos'
const TABLES = `
create table country (code text primary key, version integer not null default 1);
create table city (id integer primary key, country text not null references country, version integer not null default 1);
insert into country select 'c' || n from generate_series(1, ${COUNTRIES}) n`
const CONFIG = `import { defineApp, defineConfig, defineDoctype } from 'SRC/index.ts'
const Country = defineDoctype({ name: 'Country', table: 'country', key: 'code' })
const City = defineDoctype({
  name: 'City', table: 'city', key: 'id',
  search: {
    searchable: ['country'],
    embeds: [{ doctype: 'Country', column: 'country' }],
    project: async (rows, { query }) => {
      const countries = await query('select code, version from country where code = any ($1)', [rows.map((row) => row.country)])
      const versions = new Map(countries.map(({ code, version }) => [code, version]))
      return rows.map(({ country, version }) => ({ country, version, countryVersion: versions.get(country) }))
    },
  },
})
const app = defineApp({ name: 'geo', doctypes: [Country, City], handlers: async () => ({}) })
export default defineConfig({ namespace: '${NAMESPACE}', apps: [app], search: { lease: ${INDEX_LEASE_MS} } })
`

/**
 * A PostgreSQL, search sync as processes of the command line, and writers that insert, change, move and delete rows, also of a table that
 * is embedded, some in transactions that are rolled back or commit late. Ends all of it when disposed of.
 */
export class SearchArena {
  readonly postgres: PostgresServer
  readonly database: TestDatabase
  readonly syncs: Running[] = []
  readonly #project: Project
  readonly #random: Random
  readonly #failures: string[] = []
  #admin: PostgresConnection | undefined
  #stopWriting = new AbortController()
  #writing: Promise<unknown> | undefined
  #changes = 0
  /** Of those that change: the latest, and how many there were. */
  readonly #changing: string[] = []
  #madeCountries = 0
  #nextId = 1
  #rows = 0

  private constructor(postgres: PostgresServer, database: TestDatabase, project: Project, random: Random) {
    this.postgres = postgres
    this.database = database
    this.#project = project
    this.#random = random
  }

  /** `rows`: in the table before anything runs. */
  static async open(random: Random, rows: number): Promise<SearchArena> {
    const postgres = await startPostgres({ settings: { max_connections: '60' } })
    const database = await postgres.createDatabase()
    const project = await Project.make({ DATABASE_URL: database.url }, { 'moca.config.ts': CONFIG })
    const arena = new SearchArena(postgres, database, project, random)
    await arena.#prepare(rows)
    return arena
  }

  /** A connection beside all others. */
  get admin(): PostgresConnection {
    if (!this.#admin) throw new Error('The arena is not prepared')
    return this.#admin
  }

  async #prepare(rows: number): Promise<void> {
    this.#admin = await PostgresConnection.open({ url: this.database.url }, 'chaos')
    await migrate(this.#admin, { schema: 'moca', namespace: NAMESPACE, maxBytes: 1_048_576 })
    await this.#admin.run(TABLES)
    await this.#admin.query(
      `insert into city select n, 'c' || (1 + n % ${COUNTRIES}) from generate_series(1, $1::int) n`,
      [rows],
    )
    this.#nextId = rows + 1
    this.#rows = rows
    const { code, stderr } = await this.command(['outbox', 'capture', '--all'])
    if (code !== 0) throw new Error(stderr)
  }

  /** Runs a command of Moca to its end. */
  command(args: readonly string[]): Promise<Ended> {
    return this.#project.run(args)
  }

  /** Starts a command that is not expected to live. */
  spawn(args: readonly string[], env: Readonly<Record<string, string>> = {}): Running {
    return this.#project.start(args, env)
  }

  /** Resolves when it keeps the index, or stands by. */
  async startSync(env: Readonly<Record<string, string>> = {}): Promise<Running> {
    const running = this.spawn(['search', 'sync'], env)
    await running.said(/Keeping search indexes/, 30_000)
    this.syncs.push(running)
    return running
  }

  /** The process that writes the live index; waits until one does. */
  async writer(): Promise<Running> {
    const find = async () => {
      const rows = await this.admin.query<{ owner: string }>(
        `select l.owner from moca.index_lease l join moca.search_generation g on l.index_name = g.index_name || '/' || g.generation
         where g.is_live and moca.is_held(l)`,
      )
      return this.syncs.find(({ pid }) => rows.some(({ owner }) => owner.includes(`:${pid}:`)))
    }
    return waitFor(find, { timeoutMs: 60_000, intervalMs: 20, describe: 'a process to keep the index' })
  }

  /** SIGKILL, and gone. */
  async kill(sync: Running): Promise<void> {
    sync.kill('SIGKILL')
    await sync.ended
    this.syncs.splice(this.syncs.indexOf(sync), 1)
  }

  async liveGeneration(): Promise<string> {
    const rows = await this.admin.query<{ generation: string }>(
      'select generation from moca.search_generation where is_live',
    )
    return rows[0]?.generation ?? 'none'
  }

  /** How far a swap had come that was killed, by what is in the tables. `before`: the generation that was live when its rebuild began. */
  async swapPhase(before: string): Promise<'beforeSwap' | 'beforeNote' | 'beforeDrop' | 'afterDrop'> {
    const live = await this.liveGeneration()
    if (live === before) return 'beforeSwap'
    const [left] = await this.admin.query<{ rebuilds: number; generations: number; positions: number }>(
      `select (select count(*)::int from moca.search_rebuild where generation = $1) as rebuilds,
              (select count(*)::int from moca.search_generation where generation = $2) as generations,
              (select count(*)::int from moca.index_lease where index_name = 'City/' || $2) as positions`,
      [live, before],
    )
    if (left?.rebuilds) return 'beforeNote'
    return left?.generations || left?.positions ? 'beforeDrop' : 'afterDrop'
  }

  /** What search sync and a rebuild have noted. */
  async notes(): Promise<FoundNotes> {
    const live = await this.liveGeneration()
    const [row] = await this.admin.query<{ unsettled: number }>(
      `select count(*)::int as unsettled from moca.index_batch b where b.index_name = 'City/' || $1
         and not exists (select from moca.index_settled s where s.index_name = b.index_name and s.n = b.n)`,
      [live],
    )
    const [rebuild] = await this.admin.query<{ generation: string; afterDocname: string | null }>(
      'select generation, after_docname as "afterDocname" from moca.search_rebuild',
    )
    return { unsettled: row?.unsettled ?? 0, live, rebuild }
  }

  /**
   * Rows that were there from the start and that nobody touches are in the live generation at any time: of one that replaced another, this
   * says at once whether something is missing, before the next one makes up for it. A sentence, or nothing.
   */
  async findLostRows(): Promise<string[]> {
    const [live] = await this.admin.query<{ id: number; generation: string }>(
      'select id, generation from moca.search_generation where is_live',
    )
    if (!live) return ['There is no live generation']
    const [row] = await this.admin.query<{ count: number }>(
      `select count(*)::int as count from city c
       where c.id <= $1 and not exists (select from moca.search_document_${live.id} d where d.id = c.id::text)`,
      [this.#rows],
    )
    return row?.count ? [`Generation ${live.generation} went live without ${row.count} rows that nobody touches`] : []
  }

  /** Of a row that writers leave alone, unless it is one of theirs. */
  async changeCity(id: number): Promise<void> {
    await this.admin.query('update city set version = version + 1 where id = $1', [id])
  }

  /** Whether a row is in the live generation as it is in its table. */
  async isCurrent(id: number): Promise<boolean> {
    const [live] = await this.admin.query<{ id: number }>('select id from moca.search_generation where is_live')
    const [row] = await this.admin.query<{ is: boolean }>(
      `select exists (select from city c join moca.search_document_${live?.id} d on d.id = c.id::text
         where c.id = $1 and (d.fields ->> 'version')::int = c.version) as is`,
      [id],
    )
    return row?.is ?? false
  }

  /** Writers begin, and go on until the verdict. */
  startWriters(): void {
    const { signal } = this.#stopWriting
    this.#writing = Promise.all(Array.from({ length: WRITERS }, () => this.#write(signal)))
    this.#writing.catch(() => {}) // told by the verdict
  }

  /**
   * Each row changes a few times and then never again, those of countries too: nothing later makes up for a change that was lost.
   */
  async #write(signal: AbortSignal): Promise<void> {
    const random = this.#random
    const connection = await PostgresConnection.open({ url: this.database.url }, 'writer')
    const recent: number[] = []
    const country = () => (random.chance(0.5) ? `c${random.whole(1, COUNTRIES)}` : random.pick(this.#changing))
    const one = async () => {
      const id = this.#nextId++
      await connection.query('insert into city (id, country) values ($1, $2)', [id, country()])
      recent.push(id)
      if (recent.length > 6) recent.shift()
    }
    const actions = [
      one,
      one,
      () => connection.query('update city set version = version + 1 where id = $1', [random.pick(recent)]),
      () =>
        connection.query('update city set version = version + 1, country = $2 where id = $1', [
          random.pick(recent),
          country(),
        ]),
      () => connection.query('delete from city where id = $1', [random.pick(recent)]),
      () => connection.query('update city set id = $2 where id = $1', [random.pick(recent), this.#nextId++]),
    ]
    try {
      while (!signal.aborted) {
        if (this.#changing.length === 0 || random.chance(0.01)) await this.#makeCountry(connection)
        await connection.run('begin')
        if (recent.length === 0) await one()
        for (let n = random.whole(1, 3); n > 0; n--) await random.pick(actions)()
        // Last, so that nobody waits for it long; one at a time.
        if (random.chance(0.03))
          await connection.query('update country set version = version + 1 where code = $1', [
            random.pick(this.#changing),
          ])
        else if (random.chance(0.05)) await wait(random.between(50, 400))
        const isKept = random.chance(0.9)
        await connection.run(isKept ? 'commit' : 'rollback')
        if (isKept) this.#changes++
        // As fast as they go they would fill both cores, and the faults would come to nobody.
        await wait(random.between(0, 12))
      }
    } finally {
      connection.destroy()
    }
  }

  /** The next that changes, in the place of the one that changed for the longest time. */
  async #makeCountry(connection: PostgresConnection): Promise<void> {
    const code = `k${++this.#madeCountries}`
    await connection.query('insert into country (code) values ($1)', [code])
    this.#changing.push(code)
    if (this.#changing.length > CHANGING_COUNTRIES) this.#changing.shift()
  }

  /** Writers end, and the index comes to what the tables are, or does not. */
  async verdict(): Promise<SearchVerdict> {
    this.#stopWriting.abort()
    await this.#writing
    const read = async () => judgeSearch(await this.#evidence())
    await waitFor(async () => (await read()).problems.length === 0, { timeoutMs: 60_000, intervalMs: 300 }).catch(
      () => {
        // What is missing is named by the verdict.
      },
    )
    for (const { hasEnded, output, pid } of this.syncs) {
      if (hasEnded) this.#failures.push(`Search sync ${pid} ended by itself: ${output.slice(-300)}`)
    }
    const { code, stdout, stderr } = await this.command(['search', 'verify'])
    if (code !== 0) this.#failures.push(`moca search verify ended with ${code}: ${stdout.slice(-500)}${stderr}`)
    return read()
  }

  async #evidence() {
    const wanted = await this.admin.query<Wanted>(
      'select c.id::text as id, c.version, k.version as "countryVersion" from city c join country k on k.code = c.country',
    )
    const generations = await this.admin.query<{ id: number; generation: string; is_live: boolean }>(
      'select id, generation, is_live from moca.search_generation',
    )
    const live = generations.find(({ is_live }) => is_live)
    const found = live
      ? // A document that cannot be found by its word is none of this version; a text without a document is one too many.
        await this.admin.query<Wanted>(
          `select coalesce(d.id, t.id) as id, (fields ->> 'countryVersion')::int as "countryVersion",
             case when t.words @@ (fields ->> 'country')::tsquery then (fields ->> 'version')::int else -1 end as version
           from moca.search_document_${live.id} d full join moca.search_text_${live.id} t on t.id = d.id`,
        )
      : []
    const positions = await this.admin.query<{ index_name: string }>('select index_name from moca.index_lease')
    const rebuilds = await this.admin.query<{ generation: string }>('select generation from moca.search_rebuild')
    const leftovers = [
      ...generations
        .filter(({ is_live }) => !is_live)
        .map(({ generation }) => `Generation ${generation} was left behind`),
      ...positions
        .filter(({ index_name }) => index_name !== `City/${live?.generation}`)
        .map(({ index_name }) => `Position ${index_name} was left behind`),
      ...rebuilds.map(({ generation }) => `The rebuild of ${generation} was left behind`),
    ]
    return { wanted, found, changes: this.#changes, leftovers, failures: this.#failures }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopWriting.abort()
    await this.#writing?.catch(() => {})
    this.#admin?.destroy()
    await this.#project.remove()
    await this.postgres.stop()
  }
}
