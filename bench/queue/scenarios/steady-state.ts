import { type ParentLink, startChild } from '../../child.ts'
import { monotonicMs, sleep } from '../../clock.ts'
import { queueName } from '../consume.ts'
import { ConsumerProcess, costsPerJob } from '../consumer-process.ts'
import { makeBatches } from '../payload.ts'
import { jobsPerCall } from '../produce.ts'
import type { Sample, Scenario, ScenarioContext } from '../scenario.ts'
import { loadSystem, type SystemName } from '../system.ts'

const concurrency = 100
const mostAhead = 10_000

/** Both sides at work: a producer that is never more than 10,000 jobs ahead, and a worker. */
export const steadyState: Scenario = {
  name: 'steady-state',
  title: 'steady state: producer (1,000 a call) and worker (concurrency 100) together, in two processes',
  metrics: [{ name: 'rate', title: 'rate', unit: 'jobs/s' }],
  run: measure,
}

async function measure(context: ScenarioContext): Promise<Sample> {
  const jobs = context.isQuick ? 10_000 : 100_000
  const { system, redis, childOptions } = context
  const consumer = await ConsumerProcess.open(context, { concurrency, jobs })
  const producer = startChild(import.meta.url, produceSteadily, { system, port: redis.port, jobs }, childOptions)
  await producer.receive()
  const delivered = consumer.run()
  producer.send('go')
  const { firstSentAtMs, cpuMs } = await producer.result()
  const delivery = await delivered
  const result = await consumer.finish()
  return {
    metrics: { rate: (jobs * 1000) / (delivery.settledAtMs - firstSentAtMs) },
    facts: { producerCpuUsPerJob: (cpuMs * 1000) / jobs, ...costsPerJob(jobs, delivery, result) },
  }
}

interface ProduceArgs {
  readonly system: SystemName
  readonly port: number
  readonly jobs: number
}

/**
 * @public A child process finds it by its name.
 */
export async function produceSteadily(
  { system, port, jobs }: ProduceArgs,
  parent: ParentLink,
): Promise<{ firstSentAtMs: number; cpuMs: number }> {
  const { openProducer } = await loadSystem(system)
  const producer = await openProducer({ port, queue: queueName })
  const batches = makeBatches(jobs, jobsPerCall)
  parent.send('ready')
  await parent.receive()

  const cpu = process.cpuUsage()
  const firstSentAtMs = monotonicMs()
  let mostOpen = 0
  for (const batch of batches) {
    while (mostOpen + batch.length > mostAhead) {
      const { waiting, active } = await producer.counts()
      mostOpen = waiting + active
      if (mostOpen + batch.length > mostAhead) await sleep(1)
    }
    await producer.enqueueMany(batch)
    mostOpen += batch.length
  }
  const { user, system: kernel } = process.cpuUsage(cpu)
  await producer.close()
  return { firstSentAtMs, cpuMs: (user + kernel) / 1000 }
}
