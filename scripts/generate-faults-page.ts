import { readFileSync, writeFileSync } from 'node:fs'
import { readResult, type Result } from '../test/chaos/result.ts'
import { OUTBOX_SCENARIOS } from '../test/chaos/outbox/scenarios.ts'
import type { OutboxCounts } from '../test/chaos/outbox/verdict.ts'
import { SCENARIOS } from '../test/chaos/scenarios.ts'
import { SCHEDULER_SCENARIOS } from '../test/chaos/scheduler/scenarios.ts'
import type { SchedulerCounts } from '../test/chaos/scheduler/verdict.ts'
import { SEARCH_SCENARIOS } from '../test/chaos/search/scenarios.ts'
import type { SearchCounts } from '../test/chaos/search/verdict.ts'
import type { Counts } from '../test/chaos/verdict.ts'

// Makes docs/faults.md from test/chaos/results/*.json, the findings of `npm run chaos -- queue`, `outbox`, `scheduler` and `search`.
//
//   node scripts/generate-faults-page.ts           writes the page
//   node scripts/generate-faults-page.ts --check   fails when the page is not what the results give

const PAGE = new URL('../docs/faults.md', import.meta.url)

const MEANINGS: readonly [count: keyof Counts, label: string, meaning: string][] = [
  ['lost', 'lost', 'accepted, never succeeded, and in no place of Redis'],
  [
    'runTwice',
    'run twice',
    'begun while an earlier attempt was in the hands of a worker that lived all the time, or after it had succeeded there',
  ],
  ['outOfOrder', 'out of order', 'begun before an earlier job of its key was done'],
  ['fenceBackwards', 'fence', 'attempts whose fence was not above every earlier one of the job and its key'],
  ['overcharged', 'overcharged', 'attempt numbers raised though no attempt had failed'],
  ['notAlone', 'not alone', 'run beside others though two workers had died in its midst'],
  [
    'wronglyDead',
    'wrongly dead',
    'dead letters for another reason than they were made for: healthy jobs that died of stalls, for one',
  ],
  ['stoodStill', 'stood still', 'workers that did not go on by themselves after a fault'],
  ['crashed', 'crashed', 'worker processes that ended by themselves'],
  ['inconsistent', 'inconsistent', 'jobs left over, in two places, unknown, or counted wrongly by Redis'],
]

const RERUNS: readonly [count: keyof Counts, label: string][] = [
  ['rerunAfterDeath', 'its worker died'],
  ['rerunAfterAbsence', 'its worker stood still or was cut off for longer than the lease'],
  ['rerunAfterStop', 'its worker was told to stop'],
  ['rerunAfterForgetting', 'Redis forgot that it had run'],
]

const OUTBOX_MEANINGS: readonly [count: keyof OutboxCounts, label: string, meaning: string][] = [
  ['lost', 'lost', 'recorded in a transaction that committed, and never handled'],
  ['outOfOrder', 'out of order', 'handled first after a later event of its key'],
  ['neverCommitted', 'never committed', 'handled though no transaction that committed had recorded it'],
  ['failed', 'failed', 'processes that ended by themselves or did not go on'],
]

const SCHEDULER_MEANINGS: readonly [count: keyof SchedulerCounts, label: string, meaning: string][] = [
  ['lost', 'lost', 'an instant that fell due, and never came to the handler'],
  ['doubled', 'doubled', 'an instant that was fired twice (allowed where Redis itself forgot that it had been fired)'],
  ['unexpected', 'unexpected', 'fired for what is no instant of the schedule'],
  ['failed', 'failed', 'processes that ended by themselves or did not go on'],
]

const SEARCH_MEANINGS: readonly [count: keyof SearchCounts, label: string, meaning: string][] = [
  ['missing', 'missing', 'in the table, and not in the index'],
  ['stale', 'stale', 'in the index otherwise than in the tables, those that it embeds included'],
  ['orphaned', 'orphaned', 'in the index, and in no table'],
  ['leftovers', 'left over', 'what a rebuild that was killed left behind, after a later one went through'],
  [
    'failed',
    'failed',
    'processes that ended by themselves or did not go on, and moca search verify that did not end with 0',
  ],
]

const unplayed: string[] = []
const results = SCENARIOS.flatMap((scenario) => resultOf<Counts>(scenario))
const outboxResults = OUTBOX_SCENARIOS.flatMap((scenario) => resultOf<OutboxCounts>(scenario))
const schedulerResults = SCHEDULER_SCENARIOS.flatMap((scenario) => resultOf<SchedulerCounts>(scenario))
const searchResults = SEARCH_SCENARIOS.flatMap((scenario) => resultOf<SearchCounts>(scenario))
const page = render(results)

if (process.argv.includes('--check')) {
  if (readFileSync(PAGE, 'utf8') !== page) {
    console.error('docs/faults.md is not what the results give. Run: node scripts/generate-faults-page.ts')
    process.exit(1)
  }
} else writeFileSync(PAGE, page)

/** None or one. */
function resultOf<Some extends object>({ name, title }: { name: string; title: string }): Result<Some>[] {
  const result = readResult<Some>(name)
  if (result) return [result]
  unplayed.push(`${title} (\`${name}\`)`)
  return []
}

function render(results: readonly Result[]): string {
  const parts = [
    intro(results),
    overview(results),
    outboxIntro(),
    outboxOverview(),
    schedulerIntro(),
    schedulerOverview(),
    searchIntro(),
    searchOverview(),
    ...missing(),
    ...results.map(section),
    ...outboxResults.map((result) => sectionOf('outbox', result)),
    ...schedulerResults.map((result) => sectionOf('scheduler', result)),
    ...searchResults.map((result) => sectionOf('search', result)),
  ]
  return `${parts.join('\n\n')}\n`
}

function outboxIntro(): string {
  const meanings = OUTBOX_MEANINGS.map(([, label, meaning]) => `- **${label}**: ${meaning}`).join('\n')
  return `What the outbox does when relays, PostgreSQL and Redis fail: \`npm run chaos -- outbox\`. Eight writers raise counters under row locks and record an event for each, some in transactions that are rolled back or stay open; relays are processes of the command line; a handler writes each event on the disk before Moca hears of its success. The counters in PostgreSQL say what must have come, and in which order per key. All of these must be zero:

${meanings}`
}

function outboxOverview(): string {
  const head = ['scenario', 'events recorded', 'handled again', ...OUTBOX_MEANINGS.map(([, label]) => label)]
  const rows = outboxResults.map(({ title, counts }) =>
    row([
      `[${title}](#${anchor(title)})`,
      counts.recorded,
      counts.repeated,
      ...OUTBOX_MEANINGS.map(([count]) => counts[count]),
    ]),
  )
  return [row(head), row(head.map((_, index) => (index === 0 ? '---' : '---:'))), ...rows].join('\n')
}

function schedulerIntro(): string {
  const meanings = SCHEDULER_MEANINGS.map(([, label, meaning]) => `- **${label}**: ${meaning}`).join('\n')
  return `What schedules do when schedulers and Redis fail: \`npm run chaos -- scheduler\`. Ten schedules have an instant each second; two schedulers are processes of the command line, and a handler writes each fire on the disk. The calendar says what must have come. All of these must be zero:

${meanings}`
}

function schedulerOverview(): string {
  const head = ['scenario', 'instants', 'run again', ...SCHEDULER_MEANINGS.map(([, label]) => label)]
  const rows = schedulerResults.map(({ title, counts }) =>
    row([
      `[${title}](#${anchor(title)})`,
      counts.due,
      counts.repeated,
      ...SCHEDULER_MEANINGS.map(([count]) => counts[count]),
    ]),
  )
  return [row(head), row(head.map((_, index) => (index === 0 ? '---' : '---:'))), ...rows].join('\n')
}

function searchIntro(): string {
  const meanings = SEARCH_MEANINGS.map(([, label, meaning]) => `- **${label}**: ${meaning}`).join('\n')
  return `What search indexes do when those who keep or rebuild them, and their connections, fail: \`npm run chaos -- search\`. Four writers insert, change, move and delete rows, also of a table that is embedded, some in transactions that are rolled back or commit late; each row changes a few times and then never again. In the end a checker that knows nothing of Moca compares the tables with those of the index, document by document and version by version. All of these must be zero:

${meanings}`
}

function searchOverview(): string {
  const head = ['scenario', 'transactions', 'documents compared', ...SEARCH_MEANINGS.map(([, label]) => label)]
  const rows = searchResults.map(({ title, counts }) =>
    row([
      `[${title}](#${anchor(title)})`,
      counts.changes,
      counts.succeeded,
      ...SEARCH_MEANINGS.map(([count]) => counts[count]),
    ]),
  )
  return [row(head), row(head.map((_, index) => (index === 0 ? '---' : '---:'))), ...rows].join('\n')
}

function sectionOf(
  suite: 'outbox' | 'scheduler' | 'search',
  result: Result<OutboxCounts | SchedulerCounts | SearchCounts>,
): string {
  const { title, text, facts, counts } = result
  const lines = Object.entries(facts).map(([name, value]) => row([words(name), value]))
  const table = [
    row(['', '']),
    row(['---', '---:']),
    ...lines,
    row([suite === 'search' ? 'as in the tables' : 'handled', counts.succeeded]),
  ]
  return `## ${title}\n\n${text}\n\n${table.join('\n')}${broken(result)}\n\n${about(suite, result)}`
}

function broken({ problems }: Result<object>): string {
  return problems.length > 0 ? `\n\nBroken promises:\n\n${problems.map((problem) => `- ${problem}`).join('\n')}` : ''
}

function about(suite: string, { ranAt, durationMs, seed, scenario, versions }: Result<object>): string {
  return `${ranAt.slice(0, 10)}, ${Math.round(durationMs / 1_000)} s, Redis ${versions.redis}, Node ${versions.node}, ${versions.platform}. Again: \`npm run chaos -- ${suite} ${scenario} --seed ${seed}\``
}

function intro(results: readonly Result[]): string {
  const kills = results.find(({ scenario }) => scenario === 'kill-workers')?.facts.kills ?? 0
  const meanings = MEANINGS.map(([, label, meaning]) => `- **${label}**: ${meaning}`).join('\n')
  return `# Faults

<!-- Generated by scripts/generate-faults-page.ts from test/chaos/results. Do not edit. -->

What the job queue does when processes, Redis and the network fail, found out by making them fail: \`npm run chaos -- queue\`, from which this page is generated. \`npm test\` plays a short version of each scenario.

Worker processes run a mixed load: short and long jobs (up to three leases), keyed, delayed, failing and hopeless ones, large payloads. Handlers write each start and each end on the disk themselves. In the end a checker that knows nothing of Moca compares the journal of what the producers were told, these ledgers, what was done to each process, and a raw look at Redis. It is tested itself: planted faults must be found. The lease is 2 s (the default is 30 s), so that rescues happen all the time. Among ${kills} kills of workers only those count whose victim held ten or more unfinished attempts.

All of these must be zero:

${meanings}

A job that runs again is no broken promise when the attempt before could not be finished or reported: work is done at least once. How often that happened, and why, stands with each scenario.`
}

function overview(results: readonly Result[]): string {
  const labels = MEANINGS.map(([, label]) => label)
  const rows = results.map(({ title, scenario, counts }) => {
    const cells = [
      `[${title}](#${anchor(title)})`,
      counts.accepted,
      counts.attempts,
      // A count that the checker of that day did not know yet.
      ...MEANINGS.map(([count]) => counts[count] ?? '–'),
    ]
    return { scenario, line: row(cells) }
  })
  const head = ['scenario', 'jobs accepted', 'attempts', ...labels]
  return [row(head), row(head.map((_, index) => (index === 0 ? '---' : '---:'))), ...rows.map(({ line }) => line)].join(
    '\n',
  )
}

/** What nobody should believe to be proven. */
function missing(): string[] {
  if (unplayed.length === 0) return []
  return [`No long run is on record yet of: ${unplayed.join(', ')}. Their short versions run in \`npm test\`.`]
}

function section(result: Result): string {
  const { title, text, facts, counts } = result
  const lines = Object.entries(facts).map(([name, value]) => row([words(name), value]))
  const ends = row(['succeeded; dead letters', `${counts.succeeded}; ${counts.dead}`])
  const gone = counts.forgotten > 0 ? [row(['accepted and gone because Redis forgot them', counts.forgotten])] : []
  const again = RERUNS.filter(([count]) => counts[count] > 0).map(([count, why]) =>
    row([`run again because ${why}`, counts[count]]),
  )
  return `## ${title}

${text}

${[row(['', '']), row(['---', '---:']), ...lines, ends, ...gone, ...again].join('\n')}${broken(result)}

${about('queue', result)}`
}

function row(cells: readonly (string | number)[]): string {
  return `| ${cells.join(' | ')} |`
}

/** `heldMedian` -> `held, median`; `staleResultsRefused` -> `stale results refused`; `stopMsMax` -> `stop ms, max`. */
function words(name: string): string {
  const spaced = name.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)
  return spaced.replace(/ (min|median|max)$/, ', $1')
}

function anchor(title: string): string {
  return title
    .toLowerCase()
    .replaceAll(/[^\p{L}\d\s-]/gu, '')
    .replaceAll(' ', '-')
}
