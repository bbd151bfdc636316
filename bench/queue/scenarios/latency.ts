import { startChild } from '../../child.ts'
import { monotonicMs } from '../../clock.ts'
import { percentile } from '../../statistics.ts'
import { queueName } from '../consume.ts'
import { ConsumerProcess, costsPerJob } from '../consumer-process.ts'
import { playMetronome } from '../metronome.ts'
import { makeBatches, type Payload } from '../payload.ts'
import type { Sample, Scenario, ScenarioContext } from '../scenario.ts'
import { loadSystem, type SystemName } from '../system.ts'

const concurrency = 100
const intervalMs = 1
const warmUpJobs = 2_000

/**
 * An open loop: jobs are sent at fixed instants whether earlier ones have arrived or not, and each is timed from the
 * instant at which it should have been sent. A stall thus counts against every job that fell into it.
 */
export const latency: Scenario = {
  name: 'latency',
  title: 'enqueue to handler at 1,000 jobs/s, from the intended moment of sending',
  metrics: [
    { name: 'p50', title: 'p50', unit: 'ms' },
    { name: 'p99', title: 'p99', unit: 'ms' },
  ],
  run: measure,
}

async function measure(context: ScenarioContext): Promise<Sample> {
  const jobs = warmUpJobs + (context.isQuick ? 2_000 : 10_000)
  const { system, redis, childOptions } = context
  const consumer = await ConsumerProcess.open(context, { concurrency, jobs, keepsArrivals: true })
  const delivered = consumer.run()
  const { firstAtMs, cpuMs } = await startChild(
    import.meta.url,
    produceAtFixedRate,
    { system, port: redis.port, jobs },
    childOptions,
  ).result()
  const delivery = await delivered
  const result = await consumer.finish()

  const arrivals = result.arrivals as Float64Array
  const latencies = arrivals.map((arrivedAtMs, n) => arrivedAtMs - (firstAtMs + n * intervalMs)).subarray(warmUpJobs)
  return {
    metrics: { p50: percentile(latencies, 0.5), p99: percentile(latencies, 0.99) },
    facts: {
      p999Ms: percentile(latencies, 0.999),
      maxMs: percentile(latencies, 1),
      producerCpuUsPerJob: (cpuMs * 1000) / jobs,
      ...costsPerJob(jobs, delivery, result),
    },
    series: { latencyMs: [...latencies] },
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
export async function produceAtFixedRate({
  system,
  port,
  jobs,
}: ProduceArgs): Promise<{ firstAtMs: number; cpuMs: number }> {
  const { openProducer } = await loadSystem(system)
  const producer = await openProducer({ port, queue: queueName })
  const payloads = makeBatches(jobs, jobs).flat()
  const pending: Promise<void>[] = []
  const cpu = process.cpuUsage()
  const firstAtMs = monotonicMs() + 300
  await playMetronome({ firstAtMs, intervalMs, beats: jobs }, (n) => {
    pending.push(producer.enqueue(payloads[n] as Payload))
  })
  await Promise.all(pending)
  const { user, system: kernel } = process.cpuUsage(cpu)
  await producer.close()
  return { firstAtMs, cpuMs: (user + kernel) / 1000 }
}
