import { monotonicMs, sleep } from '../clock.ts'
import { ArrivalCheck, isExact } from './arrival-check.ts'
import type { RelayProcess } from './relay-process.ts'
import type { ScenarioContext } from './scenario.ts'
import { loadSystem, type SystemName } from './system.ts'
import { prepareWriters, readCounters } from './writers.ts'

/** Keys get so many events each, on average. */
const eventsPerKey = 25
const lookEveryMs = 5
/** After so long without an arrival, another system is taken to have lost what is missing; Moca is waited for to the deadline, and fails. */
const givenUpAfterMs = 10_000

/** What the system needs in the database, and what the writers need. */
export async function prepareDatabase({ system, place }: ScenarioContext, events: number): Promise<{ keys: number }> {
  const keys = Math.max(100, Math.round(events / eventsPerKey))
  const { prepare } = await loadSystem(system)
  await prepare(place.databaseUrl)
  await prepareWriters(place.databaseUrl, keys)
  return { keys }
}

/** How many events the scenario has for this system. */
export async function scale({ system, isQuick }: ScenarioContext, events: number): Promise<number> {
  const { backlogDivisor } = await loadSystem(system)
  return Math.round(events / backlogDivisor / (isQuick ? 10 : 1))
}

/** CPU so far, in ms. */
export interface Usage {
  readonly postgres: number
  readonly relay: number
  readonly redis: number
}

export async function readUsage({ postgres, redis }: ScenarioContext, relay: RelayProcess): Promise<Usage> {
  return { postgres: postgres.cpuMs(), relay: await relay.cpuMs(), redis: (await redis.usage()).cpuMs }
}

/** As it stands in the results. */
export function costsPerEvent(before: Usage, after: Usage, events: number): Record<string, number> {
  return {
    postgresCpuUsPerEvent: ((after.postgres - before.postgres) * 1000) / events,
    relayCpuUsPerEvent: ((after.relay - before.relay) * 1000) / events,
    redisCpuUsPerEvent: ((after.redis - before.redis) * 1000) / events,
  }
}

export interface Arriving {
  /** When the first of them was seen, and how many there were by then. */
  readonly firstAtMs: number
  readonly firstCount: number
  readonly lastAtMs: number
}

/** Waits until so many more events have arrived than `before`, or no more come of a system that is not Moca's. */
export async function waitForArrivals(
  { system, observer }: ScenarioContext,
  { before, events, deadlineMs = 120_000 }: { before: number; events: number; deadlineMs?: number },
): Promise<Arriving> {
  const { arrivals } = await loadSystem(system)
  const startedAtMs = monotonicMs()
  let first: { atMs: number; count: number } | undefined
  let last = { atMs: startedAtMs, count: 0 }
  for (;;) {
    const count = (await arrivals.count(observer)) - before
    const atMs = monotonicMs()
    if (count > 0) first ??= { atMs, count }
    if (count > last.count) last = { atMs, count }
    if (first && count >= events) return { firstAtMs: first.atMs, firstCount: first.count, lastAtMs: atMs }
    if (first && !isOfMoca(system) && atMs - last.atMs > givenUpAfterMs) {
      return { firstAtMs: first.atMs, firstCount: first.count, lastAtMs: last.atMs }
    }
    if (atMs - startedAtMs > deadlineMs) throw new Error(`${count} of ${events} events arrived in ${deadlineMs} ms`)
    await sleep(lookEveryMs)
  }
}

/** How many have arrived so far. */
export async function countArrivals({ system, observer }: ScenarioContext): Promise<number> {
  return (await loadSystem(system)).arrivals.count(observer)
}

/**
 * Compares what lies in Redis with what was committed, and fails for what nobody committed, whoever it was; for Moca's relay, also for what
 * was lost, came twice or in another order. What another system lost is a fact of the result.
 */
export async function checkArrivals({ system, observer, place }: ScenarioContext): Promise<Record<string, number>> {
  await sleep(50) // for an event that comes a second time
  const check = new ArrivalCheck(await readCounters(place.databaseUrl))
  const { arrivals } = await loadSystem(system)
  await arrivals.read(observer, (key, { n }) => check.record(key, n))
  return requireVerdict(system, check)
}

/** The same of what a reader took. */
export async function checkTaken(
  { system, place }: ScenarioContext,
  taken: readonly (readonly [key: string, n: number])[],
): Promise<Record<string, number>> {
  const check = new ArrivalCheck(await readCounters(place.databaseUrl))
  for (const [key, n] of taken) check.record(key, n)
  return requireVerdict(system, check)
}

function requireVerdict(system: SystemName, check: ArrivalCheck): Record<string, number> {
  const verdict = check.verdict()
  const { expected, missing, repeated, outOfOrder, unknown } = verdict
  if (unknown > 0 || (isOfMoca(system) && !isExact(verdict))) {
    throw new Error(`${system}: what arrived is not what was committed: ${JSON.stringify(verdict)}`)
  }
  return { events: expected, missing, repeated, outOfOrder }
}

export function isOfMoca(system: SystemName): boolean {
  return !system.startsWith('pg-outbox-')
}
