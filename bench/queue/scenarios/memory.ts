import { type ParentLink, startChild } from '../../child.ts'
import { sleep, wallClockMs } from '../../clock.ts'
import { queueName } from '../consume.ts'
import { loadInChild } from '../produce.ts'
import type { Sample, Scenario, ScenarioContext } from '../scenario.ts'
import { loadSystem, type SystemName } from '../system.ts'

/** Growth of Redis' used_memory (buffers of connections and of the append-only file left out) per job that is there. */
export const memory: Scenario = {
  name: 'memory',
  title: 'Redis memory per waiting job, 100,000 of them',
  metrics: [
    { name: 'direct', title: 'enqueued directly', unit: 'bytes' },
    { name: 'givenId', title: 'with a given id', unit: 'bytes' },
    { name: 'delayed', title: 'delayed', unit: 'bytes' },
    { name: 'promoted', title: 'waiting after its delay', unit: 'bytes' },
  ],
  maxRounds: 3,
  run: measure,
}

const farAheadMs = 3_600_000

// BullMQ promotes up to 1,000 jobs whenever it fetches one, and never between: 100,000 of them take 100 fetches.
const concurrency = 200

async function measure(context: ScenarioContext): Promise<Sample> {
  const jobs = context.isQuick ? 10_000 : 100_000
  const { hasGivenIds } = await loadSystem(context.system)
  const loadingMs = 1_000 + jobs / 7 // the slowest of them adds some 10,000 delayed jobs a second
  return {
    metrics: {
      direct: await bytesPerJob(context, jobs, () => loadInChild(context, { jobs })),
      ...(hasGivenIds
        ? { givenId: await bytesPerJob(context, jobs, () => loadInChild(context, { jobs, hasGivenId: true })) }
        : {}),
      delayed: await bytesPerJob(context, jobs, () =>
        loadInChild(context, { jobs, dueAtMs: wallClockMs() + farAheadMs }),
      ),
      promoted: await bytesPerJob(context, jobs, async () => {
        await loadInChild(context, { jobs, dueAtMs: wallClockMs() + loadingMs })
        await promoteInChild(context)
      }),
    },
  }
}

async function bytesPerJob({ redis }: ScenarioContext, jobs: number, fill: () => Promise<void>): Promise<number> {
  await redis.reset()
  const before = await redis.dataBytes()
  await fill()
  await sleep(200) // until Redis has dropped the closed connections
  return ((await redis.dataBytes()) - before) / jobs
}

/** Runs a worker until nothing is delayed any more. Its handlers never return, so that the jobs stay. */
async function promoteInChild({ system, redis, childOptions }: ScenarioContext): Promise<void> {
  const child = startChild(import.meta.url, promote, { system, port: redis.port }, childOptions)
  await child.receive()
  child.kill()
}

/**
 * @public A child process finds it by its name.
 */
export async function promote(
  { system: name, port }: { system: SystemName; port: number },
  parent: ParentLink,
): Promise<void> {
  const system = await loadSystem(name)
  const place = { port, queue: queueName }
  const producer = await system.openProducer(place)
  const consumer = await system.openConsumer(place, { concurrency, handler: () => new Promise<void>(() => {}) })
  await consumer.start()
  while ((await producer.counts()).delayed > 0) await sleep(50)
  parent.send('promoted')
  await parent.receive() // the parent kills this process
}
