import { sleep } from '../../clock.ts'
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

/** Writers as fast as they go, and a relay beside them. The clock runs from the first transaction to the last event in Redis. */
export const sustained: Scenario = {
  name: 'sustained',
  title:
    '8 writers as fast as they go and one relay process, 200,000 events: from the first commit to the last arrival',
  metrics: [{ name: 'rate', title: 'rate', unit: 'events/s' }],
  run: measureSustained,
}

const events = 200_000
const warmUpShare = 0.2

async function measureSustained(context: ScenarioContext): Promise<Sample> {
  const { place } = context
  const expected = await scale(context, events)
  const { keys } = await prepareDatabase(context, expected)
  const relay = await RelayProcess.open(context.system, place, context.childOptions)
  await relay.start()
  const warmUp = await writeInChild({ ...place, events: expected * warmUpShare, keys })
  await waitForArrivals(context, { before: 0, events: warmUp.events })

  const usage = await readUsage(context, relay)
  const written = await writeInChild({ ...place, events: expected, keys })
  const arriving = await waitForArrivals(context, { before: warmUp.events, events: written.events })
  const costs = costsPerEvent(usage, await readUsage(context, relay), written.events)
  await relay.finish()
  return {
    metrics: { rate: (written.events * 1000) / (arriving.lastAtMs - written.firstAtMs) },
    facts: {
      ...(await checkArrivals(context)),
      keys,
      conflicts: written.conflicts,
      lagAtEndMs: arriving.lastAtMs - written.lastAtMs,
      ...costs,
    },
  }
}

/** The same with two relay processes, one of which is killed again and again, and replaced. */
export const sustainedWhileKilled: Scenario = {
  name: 'killed',
  title:
    '8 writers as fast as they go and two relay processes, one killed and replaced every 5 s, 400,000 events: from the first commit to the last arrival',
  metrics: [{ name: 'rate', title: 'rate', unit: 'events/s' }],
  systems: ['moca', 'bare-receiver'],
  run: measureKilled,
}

const eventsWhileKilled = 400_000
const killEveryMs = 5_000

async function measureKilled(context: ScenarioContext): Promise<Sample> {
  const { place, isQuick } = context
  const expected = await scale(context, eventsWhileKilled)
  const { keys } = await prepareDatabase(context, expected)
  const open = async () => {
    const relay = await RelayProcess.open(context.system, place, context.childOptions)
    await relay.start()
    return relay
  }
  const relays = [await open(), await open()]
  const warmUp = await writeInChild({ ...place, events: expected * warmUpShare, keys })
  await waitForArrivals(context, { before: 0, events: warmUp.events })
  const before = await countArrivals(context)

  const end = new AbortController()
  let kills = 0
  const killing = (async () => {
    for (;;) {
      await sleep(isQuick ? killEveryMs / 5 : killEveryMs)
      if (end.signal.aborted) return
      relays.shift()?.kill()
      kills++
      relays.push(await open())
    }
  })()
  const written = await writeInChild({ ...place, events: expected, keys })
  const arriving = await waitForArrivals(context, { before, events: written.events })
  end.abort()
  await killing
  for (const relay of relays) await relay.finish()
  return {
    metrics: { rate: (written.events * 1000) / (arriving.lastAtMs - written.firstAtMs) },
    facts: {
      ...(await checkArrivals(context)),
      keys,
      conflicts: written.conflicts,
      kills,
      lagAtEndMs: arriving.lastAtMs - written.lastAtMs,
    },
  }
}
