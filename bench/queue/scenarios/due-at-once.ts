import { wallClockMs } from '../../clock.ts'
import { percentile } from '../../statistics.ts'
import { ConsumerProcess, costsPerJob } from '../consumer-process.ts'
import { loadInChild } from '../produce.ts'
import type { Sample, Scenario, ScenarioContext } from '../scenario.ts'
import { monotonicMs } from '../../clock.ts'

const concurrency = 100
const loadingMs = 4_000

/** Many delayed jobs fall due in the same millisecond: how late is the last of them? */
export const dueAtOnce: Scenario = {
  name: 'due-at-once',
  title: '10,000 jobs due at one instant, concurrency 100',
  metrics: [{ name: 'p99', title: 'p99 late', unit: 'ms' }],
  run: measure,
}

async function measure(context: ScenarioContext): Promise<Sample> {
  const jobs = context.isQuick ? 1_000 : 10_000
  const consumer = await ConsumerProcess.open(context, { concurrency, jobs, keepsArrivals: true })
  const dueAtMs = Math.ceil(wallClockMs() + loadingMs)
  await loadInChild(context, { jobs, dueAtMs })
  const spareMs = dueAtMs - wallClockMs()
  if (spareMs < 500) throw new Error(`Loading took so long that only ${spareMs} ms were left until the jobs fell due`)

  const delivery = await consumer.run()
  const result = await consumer.finish()
  const monotonicDueAtMs = dueAtMs - wallClockMs() + monotonicMs()
  const lateness = (result.arrivals as Float64Array).map((arrivedAtMs) => arrivedAtMs - monotonicDueAtMs)
  if (percentile(lateness, 0) < -1) throw new Error(`A job started ${-percentile(lateness, 0)} ms before it was due`)
  return {
    metrics: { p99: percentile(lateness, 0.99) },
    facts: {
      firstMs: percentile(lateness, 0),
      p50Ms: percentile(lateness, 0.5),
      lastMs: percentile(lateness, 1),
      ...costsPerJob(jobs, delivery, result),
    },
    series: { lateMs: [...lateness] },
  }
}
