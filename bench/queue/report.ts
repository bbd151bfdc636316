import type { Result, Row, Summary, SystemDescription, Verdict } from './summary.ts'
import { type SystemName, systemNames } from './system.ts'
import type { Bound } from './targets.ts'

/** The summary as a page for people. */
export function formatMarkdown(summary: Summary): string {
  const { environment, redis, systems, rows } = summary
  const measured = systemNames.filter((name) => systems.some((system) => system.name === name))
  const titles = measured.map((name) => titleOf(name, systems))
  return `# Queue benchmark

${summary.isQuick ? '**A quick run: it shows that everything works, its numbers mean nothing.**\n\n' : ''}Median of the rounds, (least–most). Every delivery was checked: each job once. How it is measured: [README](../README.md).

- ${environment.measuredAt.slice(0, 10)}, ${environment.cpu}, ${environment.cores} cores, ${environment.memoryGiB} GiB, ${environment.platform}
- Node ${environment.node}, Redis ${redis.version}, appendonly ${redis.appendonly}, appendfsync ${redis.appendfsync}
${systems.map(formatSystem).join('\n')}

## Results

${formatTable(
  ['', ...titles, 'Moca to BullMQ'],
  rows.map((row) => [
    `${row.title} (${row.unit})`,
    ...measured.map((name) => formatResult(row.results[name], row.unit)),
    formatRatio(row.results.moca),
  ]),
)}

## Against what was promised

The bare loop is no queue but the limit of the machine; its strength is its ratio to BullMQ, divided by that ratio when the goals were set.

${formatTable(
  ['', 'at least', 'goal', 'Moca keeps', 'strength of the bare loop'],
  rows.filter((row) => row.verdict).map((row) => [row.title, ...formatVerdict(row.verdict as Verdict)]),
)}

## Costs

CPU microseconds and Redis commands per job.

${formatTable(['', ...titles], costRows(rows, measured))}
`
}

function formatSystem({ title, versions, settings }: SystemDescription): string {
  const packages = Object.entries(versions).map(([name, version]) => `${name} ${version}`)
  const made = packages.length === 0 ? 'no package' : packages.join(', ')
  return `- ${title}: ${made}. Settings: ${settings.join('; ')}.`
}

function formatTable(head: readonly string[], lines: readonly (readonly string[])[]): string {
  const rule = head.map((_, index) => (index === 0 ? '---' : '---:'))
  return [head, rule, ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

function formatResult(result: Result | undefined, unit: Row['unit']): string {
  if (!result) return '–'
  const show = (value: number) => formatValue(value, unit)
  return `${show(result.median)} (${show(result.min)}–${show(result.max)})`
}

function formatValue(value: number, unit: Row['unit']): string {
  if (unit === 'bytes') return value.toFixed(0)
  if (unit === 'ms') return value.toFixed(value >= 100 ? 0 : 2)
  return `${(value / 1000).toFixed(value >= 100_000 ? 0 : 1)}k`
}

function formatRatio(result: Result | undefined): string {
  if (!result?.toBullmq) return '–'
  const { median, min, max } = result.toBullmq
  return `${formatFactor(median)}x (${formatFactor(min)}–${formatFactor(max)})`
}

function formatFactor(value: number): string {
  return value.toFixed(value >= 1 ? 1 : 2)
}

function formatVerdict({ target, mocaKeeps, bareLoopStrength }: Verdict): string[] {
  const unit = target.scenario === 'memory' ? 'bytes' : 'ms'
  return [
    formatBound(target.atLeast, unit),
    target.goal.map((bound) => formatBound(bound, unit)).join(' and '),
    mocaKeeps,
    bareLoopStrength === undefined ? '–' : bareLoopStrength.toFixed(2),
  ]
}

function formatBound(bound: Bound, unit: string): string {
  if ('value' in bound) return `${bound.value} ${unit}`
  return `${bound.times}x ${bound.of === 'bullmq' ? 'BullMQ' : 'the bare loop'}`
}

function costRows(rows: readonly Row[], measured: readonly SystemName[]): string[][] {
  const oncePerScenario = rows.filter(
    (row, index) => rows.findIndex(({ scenario }) => scenario === row.scenario) === index,
  )
  return oncePerScenario.flatMap((row) => {
    const costs: [name: string, title: string, digits: number][] = [
      ['producerCpuUsPerJob', 'producer', 1],
      ['redisCpuUsPerJob', 'Redis', 1],
      ['workerCpuUsPerJob', 'worker', 1],
      ['redisCommandsPerJob', 'commands', 2],
    ]
    const shown = costs.filter(([name]) => measured.some((system) => row.results[system]?.facts[name] !== undefined))
    return shown.map(([name, title, digits]) => [
      `${row.scenario}: ${title}`,
      ...measured.map((system) => row.results[system]?.facts[name]?.toFixed(digits) ?? '–'),
    ])
  })
}

function titleOf(name: SystemName, systems: readonly SystemDescription[]): string {
  return systems.find((system) => system.name === name)?.title ?? name
}
