import { ConsumerProcess, costsPerJob } from '../consumer-process.ts'
import { loadInChild } from '../produce.ts'
import type { Sample, Scenario, ScenarioContext } from '../scenario.ts'

export const drainAtConcurrency100 = drain(100)
export const drainAtConcurrency1 = drain(1)

/**
 * A backlog of no-op jobs, worked off by one worker process. The clock runs from the first job in its handler, so that
 * connecting does not count, until the last one is settled.
 */
function drain(concurrency: number): Scenario {
  return {
    name: `drain-${concurrency}`,
    title: `drain of 50,000 no-op jobs by one worker process, concurrency ${concurrency}`,
    metrics: [{ name: 'rate', title: 'rate', unit: 'jobs/s' }],
    run: (context) => measure(context, concurrency),
  }
}

async function measure(context: ScenarioContext, concurrency: number): Promise<Sample> {
  const jobs = context.isQuick ? 5_000 : 50_000
  const consumer = await ConsumerProcess.open(context, { concurrency, jobs })
  await loadInChild(context, { jobs })
  const delivery = await consumer.run()
  const result = await consumer.finish()

  const { startedAtMs, firstAtMs, lastAtMs, settledAtMs } = delivery
  return {
    metrics: { rate: (jobs * 1000) / (settledAtMs - firstAtMs) },
    facts: {
      firstAfterMs: firstAtMs - startedAtMs,
      settledAfterLastMs: settledAtMs - lastAtMs,
      ...costsPerJob(jobs, delivery, result),
    },
  }
}
