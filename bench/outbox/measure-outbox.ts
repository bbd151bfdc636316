import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describeEnvironment, type Environment } from '../environment.ts'
import { type BenchRedis, startBenchRedis } from '../queue/bench-redis.ts'
import { RawRedis } from '../queue/systems/raw-redis.ts'
import { BenchPostgres } from './bench-postgres.ts'
import { formatMarkdown } from './report.ts'
import type { Sample, Scenario } from './scenario.ts'
import { describeSystem, type Summary, summarise } from './summary.ts'
import type { SystemName } from './system.ts'

const resultsDir = fileURLToPath(new URL('../results/', import.meta.url))

export interface MeasureOptions {
  readonly rounds: number
  readonly scenarios: readonly Scenario[]
  readonly systems: readonly SystemName[]
  /** Whether commits wait for the disk: each scenario is measured with each of these. */
  readonly fsyncs: readonly boolean[]
  readonly isQuick: boolean
  /** Where the summary goes; undefined = bench/results/outbox.json and outbox.md, if the run was a full one. */
  readonly summaryFile: string | undefined
  readonly profileDir: string | undefined
}

export interface Measurement {
  readonly scenario: string
  readonly fsync: boolean
  readonly system: SystemName
  readonly round: number
  readonly sample: Sample
}

/** Runs every scenario with every system, round after round, each on servers that are empty, and writes the results. */
export async function measureOutboxes(options: MeasureOptions): Promise<void> {
  const redis = await startBenchRedis()
  try {
    const environment = describeEnvironment()
    const { measurements, postgresVersion } = await measureAll(options, redis, environment)
    const servers = {
      redis: await redis.version(),
      appendfsync: await redis.setting('appendfsync'),
      postgres: postgresVersion,
    }
    const systems = await Promise.all(options.systems.map(describeSystem))
    const { isQuick, fsyncs } = options
    const summary = summarise({ environment, servers, systems, isQuick, fsyncs, measurements }, options.scenarios)
    console.log(`\n${formatMarkdown(summary)}`)
    save(summary, options)
  } finally {
    await redis.stop()
  }
}

async function measureAll(options: MeasureOptions, redis: BenchRedis, environment: Environment) {
  const rawFile = startRawFile(environment)
  const measurements: Measurement[] = []
  let postgresVersion = 'unknown'
  for (let round = 1; round <= options.rounds; round++) {
    for (const { scenario, fsync, system } of plan(options, round)) {
      const postgres = await BenchPostgres.start({ fsync })
      try {
        postgresVersion = await postgres.version()
        const sample = await measureOne(options, { scenario, system, postgres, redis })
        measurements.push({ scenario: scenario.name, fsync, system, round, sample })
        appendFileSync(rawFile, `${JSON.stringify({ scenario: scenario.name, fsync, system, round, ...sample })}\n`)
        console.log(progressLine(round, scenario, fsync, system, sample))
      } finally {
        await postgres.stop()
      }
    }
  }
  console.log(`Raw samples: ${rawFile}`)
  return { measurements, postgresVersion }
}

/** What a round measures. Another system begins in each round: none always has the place after a certain other. */
function plan({ scenarios, fsyncs, systems }: MeasureOptions, round: number) {
  return scenarios.flatMap((scenario) =>
    fsyncs.flatMap((fsync) =>
      rotate(systems, round - 1)
        .filter((system) => scenario.systems?.includes(system) ?? true)
        .map((system) => ({ scenario, fsync, system })),
    ),
  )
}

async function measureOne(
  { isQuick, profileDir }: MeasureOptions,
  { scenario, ...subject }: { scenario: Scenario; system: SystemName; postgres: BenchPostgres; redis: BenchRedis },
): Promise<Sample> {
  const { redis, postgres } = subject
  await redis.reset()
  const observer = await RawRedis.open(redis.port)
  try {
    return await scenario.run({
      ...subject,
      observer,
      place: { databaseUrl: postgres.databaseUrl, redisPort: redis.port },
      isQuick,
      childOptions: { nodeArguments: profileArguments(profileDir) },
    })
  } finally {
    await observer.close()
  }
}

function rotate<Item>(items: readonly Item[], by: number): Item[] {
  const start = by % items.length
  return [...items.slice(start), ...items.slice(0, start)]
}

function profileArguments(dir: string | undefined): string[] {
  return dir === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${dir}`, '--cpu-prof-interval=200']
}

function startRawFile(environment: Environment): string {
  mkdirSync(`${resultsDir}raw`, { recursive: true })
  const file = `${resultsDir}raw/outbox-${environment.measuredAt.replaceAll(':', '-')}.jsonl`
  writeFileSync(file, `${JSON.stringify({ environment })}\n`)
  return file
}

function progressLine(
  round: number,
  scenario: Scenario,
  fsync: boolean,
  system: SystemName,
  { metrics, facts = {} }: Sample,
): string {
  const what = `${round} ${scenario.name.padEnd(12)} fsync ${fsync ? 'on ' : 'off'} ${system.padEnd(22)}`
  return `${what} ${listValues(metrics)}   (${listValues(facts)})`
}

function listValues(values: Readonly<Record<string, number>>): string {
  const texts = Object.entries(values).map(
    ([name, value]) => `${name} ${value.toFixed(Number.isInteger(value) || value >= 10 ? 0 : 2)}`,
  )
  return texts.join(', ')
}

function save(summary: Summary, { summaryFile, isQuick, profileDir }: MeasureOptions): void {
  const json = `${JSON.stringify(summary, undefined, 2)}\n`
  if (summaryFile !== undefined) {
    writeFileSync(summaryFile, json)
    writeFileSync(summaryFile.replace(/(\.json)?$/, '.md'), formatMarkdown(summary))
    return
  }
  if (isQuick || profileDir !== undefined || !summary.isComplete) return
  writeFileSync(`${resultsDir}outbox.json`, json)
  writeFileSync(`${resultsDir}outbox.md`, formatMarkdown(summary))
}
