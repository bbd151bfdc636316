/** npm run bench -- queue: measures Moca beside other queues and writes what it found to bench/results/. */
import { mkdirSync } from 'node:fs'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { measureQueues } from './queue/measure-queues.ts'
import { scenarios } from './queue/scenarios.ts'
import { type SystemName, systemNames } from './queue/system.ts'

const usage = `Usage: npm run bench -- queue [options]

  --rounds N        rounds, each with every system once (default 5)
  --only NAMES      scenarios, separated by commas: ${scenarios.map(({ name }) => name).join(', ')}
  --systems NAMES   systems, separated by commas: ${systemNames.join(', ')}
  --quick           a tenth of the jobs and one round: whether it works, not how fast
  --json FILE       write the summary there and leave bench/results/ as it is
  --cpu-prof DIR    profile workers and producers into DIR (and leave bench/results/ as it is)
`

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string' },
    only: { type: 'string' },
    systems: { type: 'string' },
    quick: { type: 'boolean', default: false },
    json: { type: 'string' },
    'cpu-prof': { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

if (values.help || positionals.length !== 1 || positionals[0] !== 'queue') {
  console.log(usage)
  process.exit(values.help ? 0 : 2)
}

const rounds = Number(values.rounds ?? (values.quick ? 1 : 5))
if (!Number.isInteger(rounds) || rounds < 1) fail(`--rounds must be a whole number from 1, got ${values.rounds}`)
const profileDir = values['cpu-prof'] === undefined ? undefined : resolve(values['cpu-prof'])
if (profileDir) mkdirSync(profileDir, { recursive: true })

await measureQueues({
  rounds,
  scenarios: pick('--only', values.only, scenarios, ({ name }) => name),
  systems: pick<SystemName>('--systems', values.systems, systemNames, (name) => name),
  isQuick: values.quick,
  summaryFile: values.json,
  profileDir,
})

function pick<Item>(
  option: string,
  list: string | undefined,
  items: readonly Item[],
  nameOf: (item: Item) => string,
): Item[] {
  if (list === undefined) return [...items]
  const names = list.split(',')
  const unknown = names.find((name) => !items.some((item) => nameOf(item) === name))
  if (unknown !== undefined) fail(`${option}: "${unknown}" is none of ${items.map(nameOf).join(', ')}`)
  return items.filter((item) => names.includes(nameOf(item)))
}

function fail(message: string): never {
  console.error(message)
  process.exit(2)
}
