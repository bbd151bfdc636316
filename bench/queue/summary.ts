import { type Environment, installedVersion } from '../environment.ts'
import { median, type Spread, spread } from '../statistics.ts'
import type { Measurement } from './measure-queues.ts'
import type { Metric, Scenario } from './scenario.ts'
import { scenarios as allScenarios } from './scenarios.ts'
import { loadSystem, type SystemName, systemNames } from './system.ts'
import { bareLoopStrength, keeps, type Target, targets } from './targets.ts'

export interface Summary {
  readonly environment: Environment
  readonly redis: { readonly version: string; readonly appendonly: string; readonly appendfsync: string }
  readonly isQuick: boolean
  /** Every scenario with every system. */
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

/** One metric of one scenario. */
export interface Row {
  readonly scenario: string
  readonly metric: string
  readonly title: string
  readonly unit: Metric['unit']
  readonly results: Partial<Record<SystemName, Result>>
  readonly verdict: Verdict | undefined
}

export interface Result extends Spread {
  /** Divided by BullMQ's value of the same round. */
  readonly toBullmq: Spread | undefined
  /** Medians of what the scenario learnt beside its metrics. */
  readonly facts: Readonly<Record<string, number>>
}

export interface Verdict {
  readonly mocaKeeps: 'goal' | 'at least' | 'nothing' | 'not measured'
  readonly target: Target
  readonly bareLoopStrength: number | undefined
}

export interface SummaryInput {
  readonly environment: Environment
  readonly redis: Summary['redis']
  readonly systems: readonly SystemDescription[]
  readonly isQuick: boolean
  readonly measurements: readonly Measurement[]
}

export async function describeSystem(name: SystemName): Promise<SystemDescription> {
  const { title, packages, settings } = await loadSystem(name)
  return { name, title, versions: Object.fromEntries(packages.map((name) => [name, installedVersion(name)])), settings }
}

export function summarise({ measurements, ...input }: SummaryInput, scenarios: readonly Scenario[]): Summary {
  const rows = scenarios.flatMap((scenario) =>
    scenario.metrics.map((metric) => makeRow(scenario, metric, measurements)),
  )
  const isComplete = scenarios.length === allScenarios.length && input.systems.length === systemNames.length
  return { ...input, isComplete, rows }
}

function makeRow(scenario: Scenario, metric: Metric, all: readonly Measurement[]): Row {
  const ofScenario = all.filter((measurement) => measurement.scenario === scenario.name)
  const results: Partial<Record<SystemName, Result>> = {}
  for (const system of systemNames) {
    const own = ofScenario.filter(
      (measurement) => measurement.system === system && metric.name in measurement.sample.metrics,
    )
    if (own.length > 0) results[system] = makeResult(metric, own, ofScenario)
  }
  const title = scenario.metrics.length === 1 ? scenario.title : `${scenario.title}: ${metric.title}`
  return {
    scenario: scenario.name,
    metric: metric.name,
    title,
    unit: metric.unit,
    results,
    verdict: judge(scenario, metric, results),
  }
}

function makeResult(metric: Metric, own: readonly Measurement[], ofScenario: readonly Measurement[]): Result {
  const ratios = own.flatMap((measurement) => {
    const bullmq = ofScenario.find(({ system, round }) => system === 'bullmq' && round === measurement.round)
    return bullmq ? [valueOf(measurement, metric) / valueOf(bullmq, metric)] : []
  })
  return {
    ...spread(own.map((measurement) => valueOf(measurement, metric))),
    toBullmq: ratios.length > 0 ? spread(ratios) : undefined,
    facts: medianFacts(own),
  }
}

function judge(scenario: Scenario, metric: Metric, results: Row['results']): Verdict | undefined {
  const target = targets.find((target) => target.scenario === scenario.name && target.metric === metric.name)
  if (!target) return undefined
  const isHigherBetter = metric.unit === 'jobs/s'
  const medianOf = (system: SystemName) => results[system]?.median
  return {
    target,
    mocaKeeps: whatMocaKeeps(target, isHigherBetter, medianOf),
    bareLoopStrength: bareLoopStrength(target, isHigherBetter, medianOf),
  }
}

function whatMocaKeeps(
  target: Target,
  isHigherBetter: boolean,
  medianOf: (system: SystemName) => number | undefined,
): Verdict['mocaKeeps'] {
  const measured = medianOf('moca')
  if (measured === undefined) return 'not measured'
  const isKept = (bound: Target['atLeast']) => keeps(bound, measured, isHigherBetter, medianOf)
  const [atLeast, ...goals] = [target.atLeast, ...target.goal].map(isKept)
  if (atLeast === undefined) return 'not measured'
  if (!atLeast) return 'nothing'
  return goals.every((goal) => goal === true) ? 'goal' : 'at least'
}

function medianFacts(measurements: readonly Measurement[]): Record<string, number> {
  const names = Object.keys(measurements[0]?.sample.facts ?? {})
  const valuesOf = (name: string) => measurements.map(({ sample }) => sample.facts?.[name] ?? 0)
  return Object.fromEntries(names.map((name) => [name, median(valuesOf(name))]))
}

function valueOf({ sample }: Measurement, metric: Metric): number {
  return sample.metrics[metric.name] as number
}
