import { parseArgs } from 'node:util'
import type { Scenario, Size } from './scenario.ts'
import { OUTBOX_SCENARIOS } from './outbox/scenarios.ts'
import { SCENARIOS } from './scenarios.ts'
import { SCHEDULER_SCENARIOS } from './scheduler/scenarios.ts'
import { SEARCH_SCENARIOS } from './search/scenarios.ts'

export const SUITES: Readonly<Record<Suite, readonly Scenario<object>[]>> = {
  queue: SCENARIOS,
  outbox: OUTBOX_SCENARIOS,
  scheduler: SCHEDULER_SCENARIOS,
  search: SEARCH_SCENARIOS,
}

export const USAGE = `usage: npm run chaos -- queue|outbox|scheduler|search [scenario ...] [--seed n] [--count n] [--short] [--no-save]
  --seed n    choices of chance, to be repeated (default: by the clock)
  --count n   how often a fault is played (default: each scenario has its own)
  --short     as npm test plays them
  --no-save   write no file in test/chaos/results
scenarios (default: all of them)
${Object.entries(SUITES)
  .map(([suite, scenarios]) => `  ${suite}: ${scenarios.map(({ name }) => name).join(' ')}`)
  .join('\n')}`

/** The command was called in a way it does not know. */
export class UsageError extends Error {}

export type Suite = 'queue' | 'outbox' | 'scheduler' | 'search'

export interface Arguments {
  readonly isHelp: boolean
  readonly suite: Suite
  /** Empty: all. */
  readonly names: readonly string[]
  readonly seed: number
  /** Undefined: as often as each scenario says. */
  readonly count: number | undefined
  readonly size: Size
  readonly isSaved: boolean
}

/** Throws UsageError for anything that it does not know. */
export function parseArguments(args: readonly string[]): Arguments {
  const { values, positionals } = parse(args)
  const [suite, ...names] = positionals
  const isHelp = values.help
  if (!isHelp && !isSuite(suite))
    throw new UsageError(`The suites are queue, outbox, scheduler and search; found ${suite ?? 'none'}.`)
  const known = isSuite(suite) ? suite : 'queue'
  const strange = names.find((name) => !SUITES[known].some((scenario) => scenario.name === name))
  if (!isHelp && strange !== undefined) throw new UsageError(`There is no scenario ${strange}.`)
  return {
    isHelp,
    suite: known,
    names,
    seed: whole('--seed', values.seed, 0) ?? Date.now() % 1_000_000,
    count: whole('--count', values.count, 1),
    size: values.short ? 'short' : 'full',
    isSaved: values.save,
  }
}

function isSuite(name: string | undefined): name is Suite {
  return name !== undefined && Object.hasOwn(SUITES, name)
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      allowNegative: true,
      options: {
        seed: { type: 'string' },
        count: { type: 'string' },
        short: { type: 'boolean', default: false },
        save: { type: 'boolean', default: true },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
  } catch (cause) {
    throw new UsageError((cause as Error).message, { cause })
  }
}

function whole(option: string, text: string | undefined, least: number): number | undefined {
  if (text === undefined) return undefined
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN
  if (value >= least) return value
  throw new UsageError(`${option} must be a whole number from ${least}; found ${JSON.stringify(text)}.`)
}
