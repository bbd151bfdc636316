import { monotonicMs, sleep } from '../../clock.ts'
import { RelayProcess } from '../relay-process.ts'
import type { Sample, Scenario, ScenarioContext } from '../scenario.ts'
import { checkArrivals, prepareDatabase, readUsage, waitForArrivals } from '../scene.ts'
import { writeInChild } from '../writers.ts'

/** A relay with nothing to do: what it costs itself, PostgreSQL and Redis, beyond what the servers use without it. */
export const idle: Scenario = {
  name: 'idle',
  title: 'a relay process with nothing to do, with what it costs the servers',
  metrics: [{ name: 'share', title: 'CPU', unit: '% of a core' }],
  run: measure,
}

/** A relay rests only when there has been nothing for a while. */
const settleMs = 10_000

async function measure(context: ScenarioContext): Promise<Sample> {
  const watchMs = context.isQuick ? 5_000 : 30_000
  const { keys } = await prepareDatabase(context, 0)
  let arrived = 0
  /** One that does not work costs little, too. */
  const makeSureThatItWorks = async () => {
    const { events } = await writeInChild({ ...context.place, events: 1, keys })
    await waitForArrivals(context, { before: arrived, events })
    arrived += events
  }
  const relay = await RelayProcess.open(context.system, context.place, context.childOptions)
  await sleep(settleMs)
  const without = await watch(context, relay, watchMs / 2)
  await relay.start()
  await makeSureThatItWorks()
  await sleep(settleMs)
  const withIt = await watch(context, relay, watchMs)
  await makeSureThatItWorks()
  await relay.finish()
  const postgresShare = withIt.postgres - without.postgres
  const redisShare = withIt.redis - without.redis
  return {
    metrics: { share: withIt.relay + postgresShare + redisShare },
    facts: {
      ...(await checkArrivals(context)),
      relayShare: withIt.relay,
      postgresShare,
      redisShare,
      processWithoutRelayShare: without.relay,
    },
  }
}

/** CPU over a while, in percent of one core. */
async function watch(context: ScenarioContext, relay: RelayProcess, ms: number) {
  const fromMs = monotonicMs()
  const from = await readUsage(context, relay)
  await sleep(ms)
  const to = await readUsage(context, relay)
  const share = (part: keyof typeof to) => ((to[part] - from[part]) / (monotonicMs() - fromMs)) * 100
  return { relay: share('relay'), postgres: share('postgres'), redis: share('redis') }
}
