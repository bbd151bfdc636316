import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describeEnvironment, type Environment } from '../environment.ts'
import { type BenchRedis, startBenchRedis } from './bench-redis.ts'
import { formatMarkdown } from './report.ts'
import type { Sample, Scenario } from './scenario.ts'
import { describeSystem, type Summary, summarise } from './summary.ts'
import type { SystemName } from './system.ts'

const resultsDir = fileURLToPath(new URL('../results/', import.meta.url))

export interface MeasureOptions {
  readonly rounds: number
  readonly scenarios: readonly Scenario[]
  readonly systems: readonly SystemName[]
  readonly isQuick: boolean
  /** Where the summary goes; undefined = bench/results/queue.json and queue.md, if the run was a full one. */
  readonly summaryFile: string | undefined
  readonly profileDir: string | undefined
}

export interface Measurement {
  readonly scenario: string
  readonly system: SystemName
  readonly round: number
  readonly sample: Sample
}

/** Runs every scenario with every system, round after round on one Redis, and writes the results. */
export async function measureQueues(options: MeasureOptions): Promise<void> {
  const redis = await startBenchRedis()
  try {
    const environment = describeEnvironment()
    const server = {
      version: await redis.version(),
      appendonly: await redis.setting('appendonly'),
      appendfsync: await redis.setting('appendfsync'),
    }
    const systems = await Promise.all(options.systems.map(describeSystem))
    const measurements = await measureAll(options, redis, environment)
    const summary = summarise(
      { environment, redis: server, systems, isQuick: options.isQuick, measurements },
      options.scenarios,
    )
    console.log(`\n${formatMarkdown(summary)}`)
    save(summary, options)
  } finally {
    await redis.stop()
  }
}

async function measureAll(
  options: MeasureOptions,
  redis: BenchRedis,
  environment: Environment,
): Promise<Measurement[]> {
  const rawFile = startRawFile(environment)
  const measurements: Measurement[] = []
  for (let round = 1; round <= options.rounds; round++) {
    for (const scenario of options.scenarios) {
      if (round > (scenario.maxRounds ?? Infinity)) continue
      for (const system of rotate(options.systems, round - 1)) {
        await redis.reset()
        const sample = await scenario.run({
          system,
          redis,
          isQuick: options.isQuick,
          childOptions: { nodeArguments: profileArguments(options.profileDir) },
        })
        measurements.push({ scenario: scenario.name, system, round, sample })
        appendFileSync(rawFile, `${JSON.stringify({ scenario: scenario.name, system, round, ...sample })}\n`)
        console.log(progressLine(round, scenario, system, sample))
      }
    }
  }
  console.log(`Raw samples: ${rawFile}`)
  return measurements
}

/** Another system begins in each round: none always has the place after a certain other. */
function rotate<Item>(items: readonly Item[], by: number): Item[] {
  const start = by % items.length
  return [...items.slice(start), ...items.slice(0, start)]
}

function profileArguments(dir: string | undefined): string[] {
  return dir === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${dir}`, '--cpu-prof-interval=200']
}

function startRawFile(environment: Environment): string {
  mkdirSync(`${resultsDir}raw`, { recursive: true })
  const file = `${resultsDir}raw/queue-${environment.measuredAt.replaceAll(':', '-')}.jsonl`
  writeFileSync(file, `${JSON.stringify({ environment })}\n`)
  return file
}

function progressLine(round: number, scenario: Scenario, system: SystemName, { metrics, facts = {} }: Sample): string {
  return `${round} ${scenario.name.padEnd(21)} ${system.padEnd(12)} ${listValues(metrics)}   (${listValues(facts)})`
}

function listValues(values: Readonly<Record<string, number>>): string {
  const texts = Object.entries(values).map(([name, value]) => `${name} ${value.toFixed(value < 10 ? 2 : 0)}`)
  return texts.join(', ')
}

function save(summary: Summary, { summaryFile, isQuick, profileDir }: MeasureOptions): void {
  const json = `${JSON.stringify(summary, undefined, 2)}\n`
  if (summaryFile !== undefined) return writeFileSync(summaryFile, json)
  if (isQuick || profileDir !== undefined || !summary.isComplete) return
  writeFileSync(`${resultsDir}queue.json`, json)
  writeFileSync(`${resultsDir}queue.md`, formatMarkdown(summary))
}
