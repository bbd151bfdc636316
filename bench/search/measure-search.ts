import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { checkQuery } from '../../src/search/search.ts'
import { rebuildIndex } from '../../src/search/rebuild.ts'
import { waitFor } from '../../test/support/wait-for.ts'
import { startChild } from '../child.ts'
import { monotonicMs } from '../clock.ts'
import { describeEnvironment } from '../environment.ts'
import { BenchPostgres, postgresSettings } from '../outbox/bench-postgres.ts'
import { median, percentile } from '../statistics.ts'
import { CITY, openBenchIndex, prepareDatabase } from './bench-index.ts'
import { corpus } from './corpus.ts'
import { makeQueries, QUERY_KINDS } from './queries.ts'
import { formatSearchMarkdown, type SearchSummary } from './report.ts'
import { change, rebuild, submitAlone, sync } from './tasks.ts'

export interface SearchMeasureOptions {
  readonly rounds: number
  readonly isQuick: boolean
  /** Undefined: bench/results/search.json and search.md, unless it is a quick run. */
  readonly summaryFile: string | undefined
}

const SMALL = 100_000
const LARGE = 1_000_000
const SYNC_SECONDS = 60
const RENAMED_PER_SECOND = 1_000
const LATENCY_SECONDS = 30
const DEADLINE_MS = 1_800_000

/** Measures queries of 100,000 documents, and rebuilding, following and being found among a million. Commits wait for the disk. */
export async function measureSearch({ rounds, isQuick, summaryFile }: SearchMeasureOptions): Promise<void> {
  const share = isQuick ? 0.02 : 1
  const environment = describeEnvironment()
  const [queries, small] = await measureQueries(Math.round(SMALL * share), rounds)
  for (const { kind, p50Ms, p95Ms } of queries)
    console.log(`${kind}: p50 ${p50Ms.toFixed(1)} ms, p95 ${p95Ms.toFixed(1)} ms`)
  const large = await measureLarge(Math.round(LARGE * share), rounds, isQuick)
  const summary: SearchSummary = { environment, postgres: small, postgresSettings, isQuick, queries, ...large }
  console.log(`\n${formatSearchMarkdown(summary)}`)
  const file = summaryFile ?? (isQuick ? undefined : fileURLToPath(new URL('../results/search.json', import.meta.url)))
  if (file === undefined) return
  writeFileSync(file, `${JSON.stringify(summary, null, 2)}\n`)
  if (summaryFile === undefined) writeFileSync(file.replace(/json$/, 'md'), formatSearchMarkdown(summary))
}

async function measureQueries(
  count: number,
  rounds: number,
): Promise<[queries: SearchSummary['queries'], version: string]> {
  const postgres = await BenchPostgres.start({ fsync: true })
  try {
    const { databaseUrl } = postgres
    await prepareDatabase(databaseUrl, count)
    const { index, database } = openBenchIndex(databaseUrl, 'queries')
    await rebuildIndex(index)
    await settle(databaseUrl)
    const rows = [...corpus(count)]
    const all = makeQueries(rows).map(({ kind, query }) => ({ kind, query: checkQuery(query, CITY.search, 'City') }))
    const times = new Map<string, number[]>(QUERY_KINDS.map((kind) => [kind, []]))
    const found = new Map<string, number>()
    for (const { query } of all) await index.engine.query('City', query) // what the first ones cost is read from the disk
    for (let round = 0; round < rounds; round++) {
      for (const { kind, query } of all) {
        const beganAtMs = monotonicMs()
        const { hits } = await index.engine.query('City', query)
        times.get(kind)?.push(monotonicMs() - beganAtMs)
        if (round === 0 && hits.length > 0) found.set(kind, (found.get(kind) ?? 0) + 1)
      }
    }
    await database.close()
    const of = (kind: string, list: readonly number[], answered: number) => ({
      kind,
      queries: list.length / rounds,
      answered,
      p50Ms: median(list),
      p95Ms: percentile(list, 0.95),
      maxMs: Math.max(...list),
    })
    const perKind = QUERY_KINDS.map((kind) => of(kind, times.get(kind) ?? [], found.get(kind) ?? 0))
    const answered = perKind.reduce((sum, each) => sum + each.answered, 0)
    return [[...perKind, of('all', [...times.values()].flat(), answered)], await postgres.version()]
  } finally {
    await postgres.stop()
  }
}

async function measureLarge(
  count: number,
  rounds: number,
  isQuick: boolean,
): Promise<Omit<SearchSummary, 'environment' | 'postgres' | 'postgresSettings' | 'isQuick' | 'queries'>> {
  const postgres = await BenchPostgres.start({ fsync: true })
  try {
    const { databaseUrl } = postgres
    await prepareDatabase(databaseUrl, count)
    const childOptions = { deadlineMs: DEADLINE_MS }
    const rebuilds = []
    for (let round = 0; round < Math.min(rounds, 3); round++) {
      const alone = await startChild(
        import.meta.resolve('./tasks.ts'),
        submitAlone,
        { databaseUrl },
        childOptions,
      ).result()
      await settle(databaseUrl)
      const whole = await startChild(import.meta.resolve('./tasks.ts'), rebuild, { databaseUrl }, childOptions).result()
      await settle(databaseUrl)
      const perSecond = (whole.documents * 1_000) / whole.ms
      const alonePerSecond = (alone.documents * 1_000) / alone.submitMs
      rebuilds.push({ perSecond, alonePerSecond, share: perSecond / alonePerSecond, largestMB: whole.largestMB })
      console.log(
        `rebuild: ${Math.round(perSecond)}/s, submit alone ${Math.round(alonePerSecond)}/s, ${Math.round(whole.largestMB)} MB`,
      )
    }
    const seconds = isQuick ? 5 : SYNC_SECONDS
    const following = []
    const renaming = []
    for (let round = 0; round < rounds; round++) {
      const all = { rows: count, atOnce: 50, seconds, probedShare: 0 }
      following.push(await follow(databaseUrl, { ...all, what: 'population', changesPerSecond: 5_000 }))
      tellFollowing('5,000 populations/s', following.at(-1))
      renaming.push(await follow(databaseUrl, { ...all, what: 'name', changesPerSecond: RENAMED_PER_SECOND }))
      tellFollowing(`${RENAMED_PER_SECOND} names/s`, renaming.at(-1))
    }
    const delays = []
    for (let round = 0; round < rounds; round++) {
      const { delaysMs } = await follow(databaseUrl, {
        rows: count,
        what: 'population',
        changesPerSecond: 500,
        atOnce: 1,
        seconds: isQuick ? 5 : LATENCY_SECONDS,
        probedShare: 25,
      })
      delays.push({ p50Ms: median(delaysMs), p99Ms: percentile(delaysMs, 0.99) })
      console.log(
        `500 changes/s: found after p50 ${delays.at(-1)?.p50Ms.toFixed(0)} ms, p99 ${delays.at(-1)?.p99Ms.toFixed(0)} ms`,
      )
    }
    return { documents: count, rebuilds, following, renaming, delays }
  } finally {
    await postgres.stop()
  }
}

async function follow(databaseUrl: string, load: Omit<Parameters<typeof change>[0], 'databaseUrl'>) {
  const module = import.meta.resolve('./tasks.ts')
  const { index, database } = openBenchIndex(databaseUrl, 'watch')
  const syncing = startChild(module, sync, { databaseUrl }, { deadlineMs: DEADLINE_MS })
  try {
    await syncing.receive()
    const { generation = '' } = (await index.engine.live('City')) ?? {}
    const isLevel = async () => {
      const standing = await index.standing(generation)
      return standing?.owner !== undefined && standing.waiting === 0
    }
    await waitFor(isLevel, { timeoutMs: 60_000, describe: 'search sync to be level' })
    const changed = await startChild(module, change, { databaseUrl, ...load }, { deadlineMs: DEADLINE_MS }).result()
    const endedAtMs = monotonicMs()
    await waitFor(isLevel, { timeoutMs: 120_000, intervalMs: 20, describe: 'search sync to be level again' })
    const lagAtEndMs = monotonicMs() - endedAtMs
    syncing.send('enough')
    const { cpuMs } = await syncing.result()
    const perSecond = (changed.changes * 1_000) / changed.ms
    return { perSecond, lagAtEndMs, syncShare: cpuMs / changed.ms, delaysMs: changed.delaysMs }
  } finally {
    syncing.kill()
    await database.close()
  }
}

function tellFollowing(what: string, found: Awaited<ReturnType<typeof follow>> | undefined): void {
  if (!found) return
  const { lagAtEndMs, syncShare } = found
  console.log(
    `${what}: level ${Math.round(lagAtEndMs)} ms after the last one, ${(syncShare * 100).toFixed(0)} % of a core`,
  )
}

/** What a load leaves to be done in the background, as time would have done it. */
async function settle(databaseUrl: string): Promise<void> {
  const { database } = openBenchIndex(databaseUrl, 'settle')
  await database.query('vacuum analyze', [], { replyTimeoutMs: 600_000 })
  await database.query('checkpoint', [], { replyTimeoutMs: 600_000 })
  await database.close()
}
