import { readFileSync, writeFileSync } from 'node:fs'
import type { Outcome, Scenario } from './scenario.ts'
import type { Counts as QueueCounts } from './verdict.ts'

/** What one run of one scenario found: a file in test/chaos/results/, from which docs/faults.md is generated. */
export interface Result<Counts extends object = QueueCounts> {
  readonly scenario: string
  readonly title: string
  readonly text: string
  readonly seed: number
  readonly ranAt: string
  readonly durationMs: number
  readonly versions: { readonly moca: string; readonly node: string; readonly redis: string; readonly platform: string }
  readonly facts: Readonly<Record<string, number>>
  readonly counts: Counts
  readonly problems: readonly string[]
}

const RESULTS = new URL('./results/', import.meta.url)

export function makeResult<Counts extends object>(
  scenario: Scenario<Counts>,
  outcome: Outcome<Counts>,
  run: Pick<Result, 'seed' | 'ranAt' | 'durationMs' | 'versions'>,
): Result<Counts> {
  const { name, title, text } = scenario
  const { facts, verdict, problems = [] } = outcome
  return {
    scenario: name,
    title,
    text,
    ...run,
    facts,
    counts: verdict.counts,
    problems: [...verdict.problems, ...problems],
  }
}

export function writeResult(result: Result<object>): string {
  const file = new URL(`${result.scenario}.json`, RESULTS)
  writeFileSync(file, `${JSON.stringify(result, null, 2)}\n`)
  return file.pathname
}

export function readResult<Counts extends object = QueueCounts>(name: string): Result<Counts> | undefined {
  try {
    return JSON.parse(readFileSync(new URL(`${name}.json`, RESULTS), 'utf8')) as Result<Counts>
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
