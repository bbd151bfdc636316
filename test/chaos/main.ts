import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { makeResult, type Result, writeResult } from './result.ts'
import type { Scenario, Size } from './scenario.ts'
import { SCENARIOS } from './scenarios.ts'

// npm run chaos -- queue                          every scenario, some twenty minutes
// npm run chaos -- queue kill-workers --count 20  one of them, with so many faults
// npm run chaos -- queue --short --no-save        as `npm test` plays them; writes no result
//
// Each scenario writes test/chaos/results/<name>.json; `node scripts/generate-faults-page.ts` makes docs/faults.md of them.

const USAGE = `usage: npm run chaos -- queue [scenario ...] [--seed n] [--count n] [--short] [--no-save]
scenarios: ${SCENARIOS.map(({ name }) => name).join(' ')}`

const { values, positionals } = parseArgs({
  allowPositionals: true,
  allowNegative: true,
  options: {
    seed: { type: 'string' },
    count: { type: 'string' },
    short: { type: 'boolean', default: false },
    save: { type: 'boolean', default: true },
  },
})
const [suite, ...names] = positionals
const strange = names.find((name) => !SCENARIOS.some((scenario) => scenario.name === name))
if (suite !== 'queue' || strange !== undefined) {
  console.error(strange === undefined ? USAGE : `There is no scenario ${strange}.\n${USAGE}`)
  process.exit(2)
}

const seed = values.seed === undefined ? Date.now() % 1_000_000 : Number(values.seed)
const count = values.count === undefined ? undefined : Number(values.count)
const size: Size = values.short ? 'short' : 'full'
let broken = 0
for (const scenario of SCENARIOS) {
  if (names.length > 0 && !names.includes(scenario.name)) continue
  const result = await play(scenario)
  if (values.save) console.log(`  ${writeResult(result)}`)
  broken += result.problems.length
}
console.log(broken === 0 ? '\nall promises held' : `\n${broken} broken promises`)
process.exitCode = broken === 0 ? 0 : 1

async function play(scenario: Scenario): Promise<Result> {
  console.log(`\n${scenario.title} (${scenario.name}, seed ${seed})`)
  const ranAt = new Date().toISOString()
  const from = performance.now()
  const outcome = await scenario.run(size, seed, count)
  const durationMs = Math.round(performance.now() - from)
  const result = makeResult(scenario, outcome, { seed, ranAt, durationMs, versions: versions() })
  console.log(`  ${Math.round(durationMs / 1_000)} s; ${list(result.facts)}`)
  console.log(`  ${list(Object.fromEntries(Object.entries(result.counts).filter(([, n]) => n > 0)))}`)
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
