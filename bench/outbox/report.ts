import type { Unit } from './scenario.ts'
import type { Result, Row, Summary, SystemDescription, Verdict } from './summary.ts'
import { type SystemName, systemNames } from './system.ts'
import type { Bound } from './targets.ts'

/** The summary as a page for people. */
export function formatMarkdown(summary: Summary): string {
  const { environment, servers, systems, rows, postgresSettings } = summary
  const measured = systemNames.filter((name) => systems.some((system) => system.name === name))
  const titles = measured.map((name) => systems.find((system) => system.name === name)?.title ?? name)
  const settings = Object.entries(postgresSettings).map(([name, value]) => `${name} ${value}`)
  return `# Outbox benchmark

${summary.isQuick ? '**A quick run: it shows that everything works, its numbers mean nothing.**\n\n' : ''}Median of the rounds, (least–most). What arrived in Redis was compared with what was committed in every measurement. How it is measured: [README](../README.md).

- ${environment.measuredAt.slice(0, 10)}, ${environment.cpu}, ${environment.cores} cores, ${environment.memoryGiB} GiB, ${environment.platform}
- Node ${environment.node}; Redis ${servers.redis}, appendonly yes, appendfsync ${servers.appendfsync}
- PostgreSQL ${servers.postgres}, ${settings.join(', ')}
${systems.map(formatSystem).join('\n')}

## Results

${formatTable(
  ['', 'fsync', ...titles, 'Moca to the best rival'],
  rows.map((row) => [
    `${row.title} (${row.unit})`,
    formatFsync(row),
    ...measured.map((name) => formatResult(row.results[name], row.unit)),
    formatRatio(row),
  ]),
)}

## Against what was promised

${formatTable(
  ['', 'fsync', 'at least', 'goal', 'Moca keeps'],
  rows
    .filter((row) => row.verdict)
    .map((row) => [row.title, formatFsync(row), ...formatVerdict(row.verdict as Verdict, row.unit)]),
)}

## Beside the metrics

CPU in microseconds per event; \`conflicts\`: how often a writer came to a row that another one had locked; \`missing\`: events that were committed and never arrived; \`repeated\`, \`outOfOrder\`: events that arrived again, or before an earlier one of their key.

${formatTable(['', 'fsync', ...titles], factRows(rows, measured))}
`
}

function formatSystem({ title, versions, settings }: SystemDescription): string {
  const packages = Object.entries(versions).map(([name, version]) => `${name} ${version}`)
  return `- ${title}: ${packages.join(', ')}. Settings: ${settings.join('; ')}.`
}

function formatTable(head: readonly string[], lines: readonly (readonly string[])[]): string {
  const rule = head.map((_, index) => (index === 0 ? '---' : '---:'))
  return [head, rule, ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

function formatFsync({ fsync }: Row): string {
  return fsync ? 'on' : 'off'
}

function formatResult(result: Result | undefined, unit: Unit): string {
  if (!result) return '–'
  const show = (value: number) => formatValue(value, unit)
  return `${show(result.median)} (${show(result.min)}–${show(result.max)})`
}

function formatValue(value: number, unit: Unit): string {
  if (unit !== 'events/s') return value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2)
  return value < 10_000 ? value.toFixed(0) : `${(value / 1000).toFixed(1)}k`
}

function formatRatio({ results }: Row): string {
  const ratio = results.moca?.toRival
  if (!ratio) return '–'
  const show = (value: number) => value.toFixed(value >= 1 ? 1 : 2)
  return `${show(ratio.median)}x (${show(ratio.min)}–${show(ratio.max)})`
}

function formatVerdict({ target, mocaKeeps }: Verdict, unit: Unit): string[] {
  const show = (bounds: readonly Bound[]) => bounds.map((bound) => formatBound(bound, unit)).join(' and ') || '–'
  return [show(target.atLeast), show(target.goal), mocaKeeps]
}

function formatBound(bound: Bound, unit: Unit): string {
  return 'value' in bound ? `${bound.value} ${unit}` : `${bound.timesRival}x the best rival`
}

/** The facts of each scenario once, whichever metric they stand beside. */
function factRows(rows: readonly Row[], measured: readonly SystemName[]): string[][] {
  const oncePerScenario = rows.filter(
    (row, index) => rows.findIndex(({ scenario, fsync }) => scenario === row.scenario && fsync === row.fsync) === index,
  )
  return oncePerScenario.flatMap((row) => {
    const names = new Set(measured.flatMap((system) => Object.keys(row.results[system]?.facts ?? {})))
    return [...names].map((name) => [
      `${row.scenario}: ${name}`,
      formatFsync(row),
      ...measured.map((system) => formatFact(row.results[system]?.facts[name])),
    ])
  })
}

function formatFact(value: number | undefined): string {
  if (value === undefined) return '–'
  return value.toFixed(Number.isInteger(value) || value >= 100 ? 0 : 1)
}
