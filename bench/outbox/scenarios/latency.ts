import { type ParentLink, startChild } from '../../child.ts'
import { monotonicMs, sleep } from '../../clock.ts'
import { percentile } from '../../statistics.ts'
import { RelayProcess } from '../relay-process.ts'
import type { Sample, Scenario, ScenarioContext } from '../scenario.ts'
import { checkTaken, costsPerEvent, prepareDatabase, readUsage } from '../scene.ts'
import { loadSystem, type SystemName } from '../system.ts'
import { startPacedWriter } from '../writers.ts'

/**
 * An open loop: transactions of one event at fixed instants. Each is timed from the answer to its commit until whoever waits for it in
 * Redis has it.
 */
export const latency: Scenario = {
  name: 'latency',
  title: 'commit to handler at 1,000 events/s, one a transaction',
  metrics: [
    { name: 'p50', title: 'p50', unit: 'ms' },
    { name: 'p99', title: 'p99', unit: 'ms' },
  ],
  // The other listener of the rival does not keep up, and what it shows is how far it fell behind.
  systems: ['moca', 'bare-receiver', 'pg-outbox-replication'],
  run: measure,
}

const intervalMs = 1
const warmUpEvents = 2_000
/** When something arrived that has not. */
const NEVER = 0
/** Nothing came for so long: what is missing will not come. */
const givenUpAfterMs = 10_000

async function measure(context: ScenarioContext): Promise<Sample> {
  const { system, place, isQuick, childOptions } = context
  const events = warmUpEvents + (isQuick ? 2_000 : 10_000)
  const { keys } = await prepareDatabase(context, events)
  const relay = await RelayProcess.open(system, place, childOptions)
  await relay.start()
  const reader = startChild(import.meta.url, readAsTheyCome, { system, port: place.redisPort, events })
  await reader.receive()
  const writer = startPacedWriter({ ...place, events, intervalMs, keys })
  await writer.receive()
  const usage = await readUsage(context, relay)
  writer.send('go')
  const { firstAtMs, committedAtMs } = await writer.result()
  const { arrivedAtMs, taken } = await reader.result()
  const costs = costsPerEvent(usage, await readUsage(context, relay), events)
  await relay.finish()

  // What never arrived has no latency; it is told as missing.
  const measured = (since: (i: number) => number) =>
    arrivedAtMs
      .map((atMs, i) => (atMs === NEVER ? NEVER : atMs - since(i)))
      .subarray(warmUpEvents)
      .filter((ms) => ms !== NEVER)
  const latencies = measured((i) => committedAtMs[i] as number)
  const fromIntended = measured((i) => firstAtMs + i * intervalMs)
  return {
    metrics: { p50: percentile(latencies, 0.5), p99: percentile(latencies, 0.99) },
    facts: {
      ...(await checkTaken(context, taken)),
      maxMs: percentile(latencies, 1),
      fromIntendedP50Ms: percentile(fromIntended, 0.5),
      fromIntendedP99Ms: percentile(fromIntended, 0.99),
      ...costs,
    },
    series: { latencyMs: [...latencies] },
  }
}

interface ReadArgs {
  readonly system: SystemName
  readonly port: number
  readonly events: number
}

interface Taken {
  /** When each event came first; NEVER: it did not. */
  readonly arrivedAtMs: Float64Array
  /** All that came, in order. */
  readonly taken: readonly (readonly [key: string, n: number])[]
}

/**
 * Takes events as they come, until each of them has, or no more come, and for a moment more.
 *
 * @public A child process finds it by its name.
 */
export async function readAsTheyCome({ system, port, events }: ReadArgs, parent: ParentLink): Promise<Taken> {
  const { arrivals } = await loadSystem(system)
  const arrivedAtMs = new Float64Array(events)
  const taken: (readonly [key: string, n: number])[] = []
  const all = Promise.withResolvers<void>()
  let left = events
  let lastAtMs = Infinity
  const looking = setInterval(() => {
    if (monotonicMs() - lastAtMs > givenUpAfterMs) all.resolve()
  }, 1_000)
  const reader = await arrivals.openReader(port, (key, { n, i }) => {
    taken.push([key, n])
    lastAtMs = monotonicMs()
    if (arrivedAtMs[i] !== NEVER) return
    arrivedAtMs[i] = lastAtMs
    if (--left === 0) all.resolve()
  })
  parent.send('ready')
  await all.promise
  clearInterval(looking)
  await sleep(100) // for an event that comes a second time
  await reader.stop()
  return { arrivedAtMs, taken }
}
