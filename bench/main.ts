/** npm run bench -- queue | outbox | scheduler | search: measures Moca beside others and writes what it found to bench/results/. */
import { mkdirSync } from 'node:fs'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { measureLong } from './outbox/long/measure-long.ts'
import { measureOutboxes } from './outbox/measure-outbox.ts'
import { scenarios as outboxScenarios } from './outbox/scenarios.ts'
import { type SystemName as OutboxSystemName, systemNames as outboxSystemNames } from './outbox/system.ts'
import { measureQueues } from './queue/measure-queues.ts'
import { scenarios as queueScenarios } from './queue/scenarios.ts'
import { type SystemName as QueueSystemName, systemNames as queueSystemNames } from './queue/system.ts'

import { measureScheduler } from './scheduler/measure-scheduler.ts'
import { measureSearch } from './search/measure-search.ts'

const nameOf = ({ name }: { readonly name: string }) => name

const usage = `Usage: npm run bench -- queue|outbox|scheduler|search [options]

  --rounds N        rounds, each with every system once (default 5)
  --only NAMES      scenarios, separated by commas
                      queue: ${queueScenarios.map(nameOf).join(', ')}
                      outbox: ${outboxScenarios.map(nameOf).join(', ')}
  --systems NAMES   systems, separated by commas
                      queue: ${queueSystemNames.join(', ')}
                      outbox: ${outboxSystemNames.join(', ')}
  --fsync LIST      outbox: whether commits of PostgreSQL wait for the disk (default on,off: both)
  --long            outbox, instead of the scenarios: ten million events with a transaction held open for ten minutes; with
                    --events N and --hold SECONDS a shorter one, which needs --out DIR for what it finds
  --quick           a tenth of the jobs or events and one round: whether it works, not how fast
  --json FILE       write the summary there and leave bench/results/ as it is
  --cpu-prof DIR    profile workers, producers and relays into DIR (and leave bench/results/ as it is)
`

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string' },
    only: { type: 'string' },
    systems: { type: 'string' },
    fsync: { type: 'string' },
    long: { type: 'boolean', default: false },
    events: { type: 'string' },
    hold: { type: 'string' },
    out: { type: 'string' },
    quick: { type: 'boolean', default: false },
    json: { type: 'string' },
    'cpu-prof': { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

const [subject] = positionals
if (
  values.help ||
  positionals.length !== 1 ||
  (subject !== 'queue' && subject !== 'outbox' && subject !== 'scheduler' && subject !== 'search')
) {
  console.log(usage)
  process.exit(values.help ? 0 : 2)
}

if (values.long) {
  await runLong()
  process.exit()
}

const rounds = Number(values.rounds ?? (values.quick ? 1 : 5))
if (!Number.isInteger(rounds) || rounds < 1) fail(`--rounds must be a whole number from 1, got ${values.rounds}`)
const profileDir = values['cpu-prof'] === undefined ? undefined : resolve(values['cpu-prof'])
if (profileDir) mkdirSync(profileDir, { recursive: true })
const common = { rounds, isQuick: values.quick, summaryFile: values.json, profileDir }

if (subject === 'scheduler') {
  await measureScheduler({ rounds, isQuick: values.quick, summaryFile: values.json })
} else if (subject === 'search') {
  await measureSearch({ rounds, isQuick: values.quick, summaryFile: values.json })
} else if (subject === 'queue') {
  if (values.fsync !== undefined) fail('--fsync is for the outbox: the queue has no PostgreSQL')
  await measureQueues({
    ...common,
    scenarios: pick('--only', values.only, queueScenarios, nameOf),
    systems: pick<QueueSystemName>('--systems', values.systems, queueSystemNames, (name) => name),
  })
} else {
  await measureOutboxes({
    ...common,
    scenarios: pick('--only', values.only, outboxScenarios, nameOf),
    systems: pick<OutboxSystemName>('--systems', values.systems, outboxSystemNames, (name) => name),
    fsyncs: pick('--fsync', values.fsync, [true, false], (fsync) => (fsync ? 'on' : 'off')),
  })
}

async function runLong(): Promise<void> {
  const { events = '10000000', hold = '600', out } = values
  if (subject !== 'outbox') fail('--long is for the outbox')
  if (out === undefined && (values.events !== undefined || values.hold !== undefined)) {
    fail('--events and --hold need --out DIR: bench/results/ is for the whole of it')
  }
  const count = (option: string, text: string) => {
    const value = Number(text)
    return Number.isInteger(value) && value >= 1 ? value : fail(`${option} must be a whole number from 1, got ${text}`)
  }
  await measureLong({
    events: count('--events', events),
    holdMs: count('--hold', hold) * 1000,
    outputDir: out === undefined ? undefined : resolve(out),
  })
}

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
