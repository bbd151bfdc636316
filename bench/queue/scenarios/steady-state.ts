import { type ParentLink, startChild } from '../../child.ts'
import { sleep } from '../../clock.ts'
import { queueName } from '../consume.ts'
import { ConsumerProcess } from '../consumer-process.ts'
import { makeBatches } from '../payload.ts'
import { jobsPerCall } from '../produce.ts'
import type { Sample, Scenario, ScenarioContext } from '../scenario.ts'
import { loadSystem, type SystemName } from '../system.ts'

const concurrency = 100
const mostAhead = 10_000
/** Far less than a worker needs for what lies ahead of it, and long enough that asking costs nothing. */
const pauseMs = 5

/** Both sides at work for some seconds: a producer that is never more than 10,000 jobs ahead, and a worker. */
export const steadyState: Scenario = {
  name: 'steady-state',
  title: 'steady state: producer (1,000 a call) and worker (concurrency 100) together, in two processes',
  metrics: [{ name: 'rate', title: 'rate', unit: 'jobs/s' }],
  run: measure,
}

async function measure(context: ScenarioContext): Promise<Sample> {
  const [settlingMs, measuredMs] = context.isQuick ? [500, 1_000] : [1_000, 5_000]
  const { system, redis, childOptions } = context
  const consumer = await ConsumerProcess.open(context, { concurrency })
  const producer = startChild(import.meta.url, produceSteadily, { system, port: redis.port }, childOptions)
  await producer.receive()
  producer.send('go')
  await consumer.start()
  await sleep(settlingMs)

  const [from, redisFrom] = await Promise.all([consumer.count(), redis.usage()])
  await sleep(measuredMs)
  const [to, redisTo] = await Promise.all([consumer.count(), redis.usage()])

  producer.send('stop')
  const sent = await producer.result()
  await consumer.expect(sent.jobs)
  await consumer.finish()

  const jobs = to.delivered - from.delivered
  return {
    metrics: { rate: (jobs * 1000) / (to.atMs - from.atMs) },
    facts: {
      producerCpuUsPerJob: (sent.cpuMs * 1000) / sent.jobs,
      workerCpuUsPerJob: ((to.cpuMs - from.cpuMs) * 1000) / jobs,
      redisCpuUsPerJob: ((redisTo.cpuMs - redisFrom.cpuMs) * 1000) / jobs,
      redisCommandsPerJob: (redisTo.commands - redisFrom.commands) / jobs,
    },
  }
}

interface ProduceArgs {
  readonly system: SystemName
  readonly port: number
}

/**
 * @public A child process finds it by its name.
 */
export async function produceSteadily(
  { system, port }: ProduceArgs,
  parent: ParentLink,
): Promise<{ jobs: number; cpuMs: number }> {
  const { openProducer } = await loadSystem(system)
  const producer = await openProducer({ port, queue: queueName })
  parent.send('ready')
  await parent.receive()

  const stop = new AbortController()
  void parent.receive().then(() => stop.abort())
  const cpu = process.cpuUsage()
  let jobs = 0
  let mostOpen = 0
  while (!stop.signal.aborted) {
    if (mostOpen + jobsPerCall > mostAhead) {
      const { waiting, active } = await producer.counts()
      mostOpen = waiting + active
    }
    if (mostOpen + jobsPerCall > mostAhead) {
      await sleep(pauseMs)
      continue
    }
    const [batch = []] = makeBatches(jobsPerCall, jobsPerCall, jobs)
    await producer.enqueueMany(batch)
    jobs += jobsPerCall
    mostOpen += jobsPerCall
  }
  const { user, system: kernel } = process.cpuUsage(cpu)
  await producer.close()
  return { jobs, cpuMs: (user + kernel) / 1000 }
}
