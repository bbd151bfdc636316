import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { parseArguments, SUITES, UsageError, USAGE } from './arguments.ts'
import { makeResult, type Result, writeResult } from './result.ts'
import type { Scenario } from './scenario.ts'

// npm run chaos -- queue                          every scenario, some twenty-five minutes
// npm run chaos -- queue kill-workers --count 20  one of them, with so many faults
// npm run chaos -- queue --short --no-save        as `npm test` plays them; writes no result
// npm run chaos -- outbox                         the same for relays
// npm run chaos -- scheduler                      the same for schedulers
// npm run chaos -- search                         the same for search sync and rebuilds
//
// Each scenario writes test/chaos/results/<name>.json; `node scripts/generate-faults-page.ts` makes docs/faults.md of them.

const WRONG_USE = 2

const { isHelp, suite, names, seed, count, size, isSaved } = readArguments()
if (isHelp) {
  console.log(USAGE)
  process.exit()
}
let broken = 0
for (const scenario of SUITES[suite]) {
  if (names.length > 0 && !names.includes(scenario.name)) continue
  console.log(`\n${scenario.title} (${scenario.name}, seed ${seed})`)
  try {
    const result = await play(scenario)
    if (isSaved) console.log(`  ${writeResult(result)}`)
    broken += result.problems.length
  } catch (error) {
    // The others are played all the same.
    console.error('  BROKEN: the scenario did not come to its end:', error)
    broken++
  }
}
console.log(broken === 0 ? '\nall promises held' : `\n${broken} broken promises`)
process.exitCode = broken === 0 ? 0 : 1

function readArguments(): ReturnType<typeof parseArguments> {
  try {
    return parseArguments(process.argv.slice(2))
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    console.error(`${error.message}\n${USAGE}`)
    return process.exit(WRONG_USE)
  }
}

async function play(scenario: Scenario<object>): Promise<Result<object>> {
  const ranAt = new Date().toISOString()
  const from = performance.now()
  const outcome = await scenario.run(size, seed, count)
  const durationMs = Math.round(performance.now() - from)
  const result = makeResult(scenario, outcome, { seed, ranAt, durationMs, versions: versions() })
  console.log(`  ${Math.round(durationMs / 1_000)} s; ${list(result.facts)}`)
  console.log(
    `  ${list(Object.fromEntries(Object.entries(result.counts as Record<string, number>).filter(([, n]) => n > 0)))}`,
  )
  for (const problem of result.problems) console.log(`  BROKEN: ${problem}`)
  return result
}

function list(numbers: Readonly<Record<string, number>>): string {
  return Object.entries(numbers)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ')
}

function versions(): Result['versions'] {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string
  }
  const redis = /v=(\S+)/.exec(execFileSync('redis-server', ['--version'], { encoding: 'utf8' }))?.[1] ?? 'unknown'
  return { moca: version, node: process.version, redis, platform: `${process.platform} ${process.arch}` }
}
