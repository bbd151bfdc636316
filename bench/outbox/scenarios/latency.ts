import { type ParentLink, startChild } from '../../child.ts'
import { monotonicMs } from '../../clock.ts'
import { RawRedis } from '../../queue/systems/raw-redis.ts'
import { percentile } from '../../statistics.ts'
import { arrivalsKey } from '../arrivals.ts'
import { RelayProcess } from '../relay-process.ts'
import type { Sample, Scenario, ScenarioContext } from '../scenario.ts'
import { checkArrivals, costsPerEvent, prepareDatabase, readUsage } from '../scene.ts'
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
  systems: ['bare-receiver', 'pg-outbox-replication'],
  run: measure,
}

const intervalMs = 1
const warmUpEvents = 2_000

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
  const arrivedAtMs = await reader.result()
  const costs = costsPerEvent(usage, await readUsage(context, relay), events)
  await relay.finish()

  const measured = (since: (i: number) => number) =>
    arrivedAtMs.map((atMs, i) => atMs - since(i)).subarray(warmUpEvents)
  const latencies = measured((i) => committedAtMs[i] as number)
  const fromIntended = measured((i) => firstAtMs + i * intervalMs)
  return {
    metrics: { p50: percentile(latencies, 0.5), p99: percentile(latencies, 0.99) },
    facts: {
      ...(await checkArrivals(context)),
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

/**
 * Waits at the stream of arrivals. Returns when each event came first.
 *
 * @public A child process finds it by its name.
 */
export async function readAsTheyCome({ system, port, events }: ReadArgs, parent: ParentLink): Promise<Float64Array> {
  const { readEvent } = await loadSystem(system)
  const redis = await RawRedis.open(port)
  const arrivedAtMs = new Float64Array(events)
  let left = events
  let after = '0'
  parent.send('ready')
  while (left > 0) {
    type Reply = [[key: string, entries: [id: string, fields: string[]][]]] | null
    const reply: Reply = await redis.send(['XREAD', 'COUNT', '500', 'BLOCK', '1000', 'STREAMS', arrivalsKey, after])
    const atMs = monotonicMs()
    for (const [id, fields] of reply?.[0][1] ?? []) {
      after = id
      const { i } = readEvent(fields[3] ?? '')
      if (arrivedAtMs[i] !== 0) continue
      arrivedAtMs[i] = atMs
      left--
    }
  }
  await redis.close()
  return arrivedAtMs
}
