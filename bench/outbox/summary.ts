import { type Environment, installedVersion } from '../environment.ts'
import { median, type Spread, spread } from '../statistics.ts'
import { postgresSettings } from './bench-postgres.ts'
import type { Measurement } from './measure-outbox.ts'
import type { Metric, Scenario, Unit } from './scenario.ts'
import { scenarios as allScenarios } from './scenarios.ts'
import { isOfMoca } from './scene.ts'
import { loadSystem, type SystemName, systemNames } from './system.ts'
import { type Bound, keeps, type Target, targets } from './targets.ts'

export interface Summary {
  readonly environment: Environment
  readonly servers: { readonly redis: string; readonly appendfsync: string; readonly postgres: string }
  readonly postgresSettings: Readonly<Record<string, string>>
  readonly isQuick: boolean
  /** Every scenario with every system, on both kinds of PostgreSQL. */
  readonly isComplete: boolean
  readonly systems: readonly SystemDescription[]
  readonly rows: readonly Row[]
}

export interface SystemDescription {
  readonly name: SystemName
  readonly title: string
  readonly versions: Readonly<Record<string, string>>
  readonly settings: readonly string[]
}

/** One metric of one scenario on one kind of PostgreSQL. */
export interface Row {
  readonly scenario: string
  readonly fsync: boolean
  readonly metric: string
  readonly title: string
  readonly unit: Unit
  readonly results: Partial<Record<SystemName, Result>>
  readonly verdict: Verdict | undefined
}

export interface Result extends Spread {
  /** Divided by the best rival's value of the same round. Of Moca alone. */
  readonly toRival: Spread | undefined
  /** Medians of what the scenario learnt beside its metrics. */
  readonly facts: Readonly<Record<string, number>>
}

export interface Verdict {
  readonly target: Target
  readonly mocaKeeps: 'goal' | 'at least' | 'nothing' | 'not measured'
}

export interface SummaryInput {
  readonly environment: Environment
  readonly servers: Summary['servers']
  readonly systems: readonly SystemDescription[]
  readonly fsyncs: readonly boolean[]
  readonly isQuick: boolean
  readonly measurements: readonly Measurement[]
}

export async function describeSystem(name: SystemName): Promise<SystemDescription> {
  const { title, packages, settings } = await loadSystem(name)
  return { name, title, versions: Object.fromEntries(packages.map((name) => [name, installedVersion(name)])), settings }
}

export function summarise({ measurements, fsyncs, ...input }: SummaryInput, scenarios: readonly Scenario[]): Summary {
  const rows = scenarios.flatMap((scenario) =>
    scenario.metrics.flatMap((metric) => fsyncs.map((fsync) => makeRow(scenario, metric, fsync, measurements))),
  )
  const isComplete =
    scenarios.length === allScenarios.length && input.systems.length === systemNames.length && fsyncs.length === 2
  return { ...input, postgresSettings, isComplete, rows }
}

function makeRow(scenario: Scenario, metric: Metric, fsync: boolean, all: readonly Measurement[]): Row {
  const ofRow = all.filter(
    (each) => each.scenario === scenario.name && each.fsync === fsync && metric.name in each.sample.metrics,
  )
  const results: Partial<Record<SystemName, Result>> = {}
  for (const system of systemNames) {
    const own = ofRow.filter((measurement) => measurement.system === system)
    if (own.length > 0) results[system] = makeResult(metric, own, ofRow)
  }
  const title = scenario.metrics.length === 1 ? scenario.title : `${scenario.title}: ${metric.title}`
  const { name, unit } = metric
  return {
    scenario: scenario.name,
    fsync,
    metric: name,
    title,
    unit,
    results,
    verdict: judge(scenario, metric, results),
  }
}

function makeResult(metric: Metric, own: readonly Measurement[], ofRow: readonly Measurement[]): Result {
  const ratios = own.flatMap((measurement) => {
    if (!isOfMoca(measurement.system)) return []
    const rivals = ofRow.filter(({ system, round }) => !isOfMoca(system) && round === measurement.round)
    if (rivals.length === 0) return []
    const values = rivals.map((rival) => valueOf(rival, metric))
    return [valueOf(measurement, metric) / (isRate(metric) ? Math.max(...values) : Math.min(...values))]
  })
  return {
    ...spread(own.map((measurement) => valueOf(measurement, metric))),
    toRival: ratios.length > 0 ? spread(ratios) : undefined,
    facts: medianFacts(own),
  }
}

function judge({ name }: Scenario, metric: Metric, results: Row['results']): Verdict | undefined {
  const target = targets.find(({ scenario, metric: of }) => scenario === name && of === metric.name)
  if (!target) return undefined
  const moca = results.moca
  if (!moca) return { target, mocaKeeps: 'not measured' }
  const areKept = (bounds: readonly Bound[]) => {
    const kept = bounds.map((bound) => keeps(bound, moca.median, isRate(metric), moca.toRival?.median))
    if (kept.includes(false)) return false
    return kept.includes(undefined) ? undefined : true
  }
  const atLeast = areKept(target.atLeast)
  if (atLeast === undefined) return { target, mocaKeeps: 'not measured' }
  if (!atLeast) return { target, mocaKeeps: 'nothing' }
  return { target, mocaKeeps: areKept(target.goal) === true ? 'goal' : 'at least' }
}

function isRate({ unit }: Pick<Metric, 'unit'>): boolean {
  return unit === 'events/s'
}

function medianFacts(measurements: readonly Measurement[]): Record<string, number> {
  const names = Object.keys(measurements[0]?.sample.facts ?? {})
  const valuesOf = (name: string) => measurements.map(({ sample }) => sample.facts?.[name] ?? 0)
  return Object.fromEntries(names.map((name) => [name, median(valuesOf(name))]))
}

function valueOf({ sample }: Measurement, metric: Metric): number {
  return sample.metrics[metric.name] as number
}
