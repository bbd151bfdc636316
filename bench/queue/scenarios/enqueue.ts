import { startChild } from '../../child.ts'
import { monotonicMs } from '../../clock.ts'
import { queueName } from '../consume.ts'
import { ConsumerProcess } from '../consumer-process.ts'
import { makeBatches, type Payload } from '../payload.ts'
import { jobsPerCall } from '../produce.ts'
import type { Sample, Scenario, ScenarioContext } from '../scenario.ts'
import { loadSystem, type Producer, type SystemName } from '../system.ts'
import { warmUpProducer } from '../warm-up.ts'

const mostInFlight = 100

export const enqueueInBulk: Scenario = {
  name: 'enqueue-bulk',
  title: 'enqueue 100,000 jobs, 1,000 a call, one call after another',
  metrics: [{ name: 'rate', title: 'rate', unit: 'jobs/s' }],
  run: (context) => measure(context, produceInBulk, context.isQuick ? 10_000 : 100_000),
}

export const enqueueSingly: Scenario = {
  name: 'enqueue-100-in-flight',
  title: 'enqueue 50,000 jobs one a call, 100 calls in flight',
  metrics: [{ name: 'rate', title: 'rate', unit: 'jobs/s' }],
  run: (context) => measure(context, produceSingly, context.isQuick ? 5_000 : 50_000),
}

interface ProduceArgs {
  readonly system: SystemName
  readonly port: number
  readonly jobs: number
}

interface ProduceResult {
  readonly tookMs: number
  readonly cpuMs: number
  /** Jobs of the other queue, before. */
  readonly warmUpJobs: number
}

type Produce = (args: ProduceArgs) => Promise<ProduceResult>

async function measure(context: ScenarioContext, produce: Produce, jobs: number): Promise<Sample> {
  const { system, redis, childOptions } = context
  const before = await redis.usage()
  const { tookMs, cpuMs, warmUpJobs } = await startChild(
    import.meta.url,
    produce,
    { system, port: redis.port, jobs },
    childOptions,
  ).result()
  const after = await redis.usage()

  // What was accepted must be there: a worker takes it out again, and counts.
  const consumer = await ConsumerProcess.open(context, { concurrency: 100, jobs })
  await consumer.run()
  await consumer.finish()

  const jobsWithWarmUp = jobs + warmUpJobs
  return {
    metrics: { rate: (jobs * 1000) / tookMs },
    facts: {
      producerCpuUsPerJob: (cpuMs * 1000) / jobs,
      redisCpuUsPerJob: ((after.cpuMs - before.cpuMs) * 1000) / jobsWithWarmUp,
      redisCommandsPerJob: (after.commands - before.commands) / jobsWithWarmUp,
    },
  }
}

/**
 * @public A child process finds it by its name.
 */
export function produceInBulk(args: ProduceArgs): Promise<ProduceResult> {
  return timed(args, async (producer, batches) => {
    for (const batch of batches) await producer.enqueueMany(batch)
  })
}

/**
 * @public A child process finds it by its name.
 */
export function produceSingly(args: ProduceArgs): Promise<ProduceResult> {
  return timed(args, async (producer, batches) => {
    const payloads = batches.flat()
    let next = 0
    async function caller(): Promise<void> {
      while (next < payloads.length) await producer.enqueue(payloads[next++] as Payload)
    }
    await Promise.all(Array.from({ length: mostInFlight }, caller))
  })
}

async function timed(
  { system, port, jobs }: ProduceArgs,
  enqueueAll: (producer: Producer, batches: Payload[][]) => Promise<void>,
): Promise<ProduceResult> {
  const loaded = await loadSystem(system)
  const warmUpJobs = await warmUpProducer(loaded, port, enqueueAll)
  const producer = await loaded.openProducer({ port, queue: queueName })
  const batches = makeBatches(jobs, jobsPerCall)
  const cpu = process.cpuUsage()
  const startedAtMs = monotonicMs()
  await enqueueAll(producer, batches)
  const tookMs = monotonicMs() - startedAtMs
  const { user, system: kernel } = process.cpuUsage(cpu)
  await producer.close()
  return { tookMs, cpuMs: (user + kernel) / 1000, warmUpJobs }
}
