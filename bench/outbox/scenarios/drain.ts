import { RelayProcess } from '../relay-process.ts'
import type { Sample, Scenario, ScenarioContext } from '../scenario.ts'
import {
  checkArrivals,
  costsPerEvent,
  countArrivals,
  prepareDatabase,
  readUsage,
  scale,
  waitForArrivals,
} from '../scene.ts'
import { writeInChild } from '../writers.ts'

/** A backlog, brought into Redis by one relay process. The clock runs from the first event that is seen there to the last. */
export const drain: Scenario = {
  name: 'drain',
  title: 'backlog of 200,000 events into Redis, one relay process',
  metrics: [{ name: 'rate', title: 'rate', unit: 'events/s' }],
  run: measure,
}

const backlog = 200_000
/** What the relay does before it is measured, so that compiling does not count. */
const warmUpShare = 0.2

async function measure(context: ScenarioContext): Promise<Sample> {
  const { place } = context
  const events = await scale(context, backlog)
  const { keys } = await prepareDatabase(context, events)
  const relay = await RelayProcess.open(context.system, place, context.childOptions)
  const warmUp = await writeInChild({ ...place, events: events * warmUpShare, keys })
  await relay.start()
  await waitForArrivals(context, { before: 0, events: warmUp.events })
  await relay.stop()

  const written = await writeInChild({ ...place, events, keys })
  const before = await countArrivals(context)
  const usage = await readUsage(context, relay)
  await relay.start()
  const { firstAtMs, firstCount, lastAtMs } = await waitForArrivals(context, { before, events: written.events })
  const costs = costsPerEvent(usage, await readUsage(context, relay), written.events)
  await relay.finish()
  return {
    metrics: { rate: ((written.events - firstCount) * 1000) / (lastAtMs - firstAtMs) },
    facts: { ...(await checkArrivals(context)), keys, conflicts: written.conflicts, ...costs },
  }
}
