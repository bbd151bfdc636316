import type { ParentLink } from '../child.ts'
import { monotonicMs } from '../clock.ts'
import { DeliveryCheck, type DeliveryVerdict } from './delivery-check.ts'
import { makeBatches } from './payload.ts'
import { loadSystem, type QueueSystem, type SystemName } from './system.ts'

export interface ConsumeArgs {
  readonly system: SystemName
  readonly port: number
  readonly concurrency: number
  /** Jobs 0 .. jobs - 1 are expected. */
  readonly jobs: number
  readonly keepsArrivals?: boolean
}

/** What the consumer says between its start and its result. */
export type ConsumeEvent =
  | { readonly event: 'ready' }
  | {
      readonly event: 'delivered'
      readonly startedAtMs: number
      /** When the first job reached its handler. */
      readonly firstAtMs: number
      /** When the last one did. */
      readonly lastAtMs: number
    }

export interface ConsumeResult {
  readonly verdict: DeliveryVerdict
  /** CPU of this process from the first delivery to the last. */
  readonly cpuMs: number
  /** When each job reached its handler, by the monotonic clock. */
  readonly arrivals?: Float64Array
}

export const queueName = 'bench'
const warmUpQueue = 'warm-up'
const warmUpJobs = 5_000

/**
 * The worker side of most scenarios, in a process of its own: says that it is ready, starts on the parent's word, reports
 * the last delivery, goes on listening for repeated ones until the parent's second word, stops.
 */
export async function consume(args: ConsumeArgs, parent: ParentLink): Promise<ConsumeResult> {
  const { port, concurrency, jobs } = args
  const system = await loadSystem(args.system)
  await warmUp(system, port, concurrency)

  const check = new DeliveryCheck(jobs)
  const arrivals = args.keepsArrivals ? new Float64Array(jobs) : undefined
  const complete = Promise.withResolvers<void>()
  let firstAtMs = 0
  let cpu = process.cpuUsage()
  const consumer = await system.openConsumer(
    { port, queue: queueName },
    {
      concurrency,
      async handler(payload) {
        if (firstAtMs === 0) {
          firstAtMs = monotonicMs()
          cpu = process.cpuUsage()
        }
        if (arrivals) arrivals[payload.n] ||= monotonicMs()
        check.record(payload)
        if (check.isComplete) complete.resolve()
      },
    },
  )
  parent.send({ event: 'ready' } satisfies ConsumeEvent)
  await parent.receive()

  const startedAtMs = monotonicMs()
  await consumer.start()
  await complete.promise
  const lastAtMs = monotonicMs()
  const { user, system: kernel } = process.cpuUsage(cpu)
  parent.send({ event: 'delivered', startedAtMs, firstAtMs, lastAtMs } satisfies ConsumeEvent)

  await parent.receive()
  await consumer.stop()
  return { verdict: check.verdict(), cpuMs: (user + kernel) / 1000, ...(arrivals ? { arrivals } : {}) }
}

/** Lets V8 compile what will be measured: a worker has mostly been running for a while when its jobs arrive. */
async function warmUp(system: QueueSystem, port: number, concurrency: number): Promise<void> {
  const place = { port, queue: warmUpQueue }
  const producer = await system.openProducer(place)
  for (const batch of makeBatches(warmUpJobs, 1_000)) await producer.enqueueMany(batch)
  const check = new DeliveryCheck(warmUpJobs)
  const complete = Promise.withResolvers<void>()
  const consumer = await system.openConsumer(place, {
    concurrency,
    async handler(payload) {
      check.record(payload)
      if (check.isComplete) complete.resolve()
    },
  })
  await consumer.start()
  await complete.promise
  await consumer.stop()
  await producer.close()
}
