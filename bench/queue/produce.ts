import { startChild } from '../child.ts'
import { queueName } from './consume.ts'
import { makeBatches } from './payload.ts'
import type { ScenarioContext } from './scenario.ts'
import { type EnqueueManyOptions, loadSystem, type SystemName } from './system.ts'

export const jobsPerCall = 1_000

export interface LoadArgs extends EnqueueManyOptions {
  readonly system: SystemName
  readonly port: number
  readonly jobs: number
}

/** Puts jobs 0 .. jobs - 1 into the queue, unmeasured, in a process of its own. */
export function loadInChild(
  { system, redis }: ScenarioContext,
  options: Omit<LoadArgs, 'system' | 'port'>,
): Promise<void> {
  return startChild(import.meta.url, load, { system, port: redis.port, ...options }).result()
}

/**
 * @public A child process finds it by its name.
 */
export async function load({ system, port, jobs, ...options }: LoadArgs): Promise<void> {
  const { openProducer } = await loadSystem(system)
  const producer = await openProducer({ port, queue: queueName })
  for (const batch of makeBatches(jobs, jobsPerCall)) await producer.enqueueMany(batch, options)
  await producer.close()
}
