import type { Environment } from '../environment.ts'
import { median } from '../statistics.ts'

export interface SearchSummary {
  readonly environment: Environment
  readonly postgres: string
  readonly postgresSettings: Readonly<Record<string, string>>
  readonly isQuick: boolean
  readonly queries: readonly {
    readonly kind: string
    readonly queries: number
    /** That found something. */
    readonly answered: number
    readonly p50Ms: number
    readonly p95Ms: number
    readonly maxMs: number
  }[]
  readonly documents: number
  readonly rebuilds: readonly {
    readonly perSecond: number
    readonly alonePerSecond: number
    readonly share: number
    readonly largestMB: number
  }[]
  readonly following: readonly { readonly perSecond: number; readonly lagAtEndMs: number; readonly syncShare: number }[]
  /** Changes of names, a fifth as many. */
  readonly renaming: readonly { readonly perSecond: number; readonly lagAtEndMs: number; readonly syncShare: number }[]
  readonly delays: readonly { readonly p50Ms: number; readonly p99Ms: number }[]
}

const TARGETS = { queriesP95Ms: 20, rebuildShare: 0.9, rebuildMB: 300, changesPerSecond: 5_000, delayP50Ms: 200 }

/** The results as a page. */
export function formatSearchMarkdown(summary: SearchSummary): string {
  const {
    environment,
    postgres,
    postgresSettings,
    queries,
    documents,
    rebuilds,
    following,
    renaming,
    delays,
    isQuick,
  } = summary
  const { measuredAt, cpu, cores, memoryGiB, platform, node } = environment
  const settings = Object.entries(postgresSettings).map(([name, value]) => `${name} ${value}`)
  const of = <T>(list: readonly T[], read: (each: T) => number) => median(list.map(read))
  const all = queries.find(({ kind }) => kind === 'all')
  const row = (what: string, found: string, target: string) => `| ${what} | ${found} | ${target} |`
  const kept = of(following, ({ perSecond }) => perSecond)
  return `# Search

${isQuick ? 'A quick run: it says that it works, not how fast.\n\n' : ''}${measuredAt.slice(0, 10)}, ${cpu}, ${cores} cores, ${memoryGiB} GiB, ${platform}, Node ${node}, PostgreSQL ${postgres} (${settings.join(', ')}, fsync on), all on one machine. Medians of ${following.length} rounds. \`npm run bench -- search\` measures it on yours.

| | Moca | must |
| --- | ---: | ---: |
${[
  row('200 queries over 100,000 documents, p95 (ms)', all?.p95Ms.toFixed(1) ?? '-', `< ${TARGETS.queriesP95Ms}`),
  row(
    `5,000 changes/s (of populations) over ${documents.toLocaleString('en-US')} documents: changes/s written; level after the last one (ms)`,
    `${Math.round(kept).toLocaleString('en-US')}; ${Math.round(of(following, ({ lagAtEndMs }) => lagAtEndMs))}`,
    `${TARGETS.changesPerSecond.toLocaleString('en-US')} kept up with`,
  ),
  row(
    '1,000 changes/s of names: changes/s written; level after the last one (ms)',
    `${Math.round(of(renaming, ({ perSecond }) => perSecond)).toLocaleString('en-US')}; ${Math.round(of(renaming, ({ lagAtEndMs }) => lagAtEndMs))}`,
    '-',
  ),
  row(
    'commit to found at 500 changes/s, p50; p99 (ms)',
    `${of(delays, ({ p50Ms }) => p50Ms).toFixed(0)}; ${of(delays, ({ p99Ms }) => p99Ms).toFixed(0)}`,
    `p50 < ${TARGETS.delayP50Ms}`,
  ),
  row(
    `rebuild of ${documents.toLocaleString('en-US')} rows (rows/s; share of the engine's own submit)`,
    `${Math.round(of(rebuilds, ({ perSecond }) => perSecond)).toLocaleString('en-US')}; ${(of(rebuilds, ({ share }) => share) * 100).toFixed(0)} %`,
    `>= ${TARGETS.rebuildShare * 100} %`,
  ),
  row('its largest memory (MB)', `${Math.round(of(rebuilds, ({ largestMB }) => largestMB))}`, `< ${TARGETS.rebuildMB}`),
  row(
    'search sync at 5,000 changes/s (share of a core)',
    `${(of(following, ({ syncShare }) => syncShare) * 100).toFixed(0)} %`,
    '-',
  ),
].join('\n')}

| queries | count | found something | p50 (ms) | p95 (ms) | slowest (ms) |
| --- | ---: | ---: | ---: | ---: | ---: |
${queries
  .map(
    ({ kind, queries: count, answered, p50Ms, p95Ms, maxMs }) =>
      `| ${kind} | ${count} | ${answered} | ${p50Ms.toFixed(1)} | ${p95Ms.toFixed(1)} | ${maxMs.toFixed(1)} |`,
  )
  .join('\n')}

The queries: names as they are, their first two to five letters, names with a typo, beginnings with a filter or a filter with a range and an order, beginnings with the counts of a facet, words that are rare (found a few times) and common (found in up to a third of all documents), alone and in pairs. Populations are filtered and sorted by, names searched. Documents have a name of a real city and a text of 20 words whose frequencies are those of a language. \`rebuild\` is all of it, with reading, projecting, verifying and swapping; the engine's own submit is timed alone, without reading and projecting.
`
}
