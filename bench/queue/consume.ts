import type { ParentLink } from '../child.ts'
import { monotonicMs } from '../clock.ts'
import { DeliveryCheck, type DeliveryVerdict } from './delivery-check.ts'
import { loadSystem, type SystemName } from './system.ts'
import { warmUpConsumer } from './warm-up.ts'

export interface ConsumeArgs {
  readonly system: SystemName
  readonly port: number
  readonly concurrency: number
  /** Jobs 0 .. jobs - 1 are expected; undefined: as many as `expect` says later. */
  readonly jobs?: number
  readonly keepsArrivals?: boolean
}

/** What the parent says. */
export type ConsumeOrder =
  | { readonly order: 'start' }
  | { readonly order: 'count' }
  | { readonly order: 'expect'; readonly jobs: number }
  | { readonly order: 'finish' }

/** What the consumer says between its start and its result. */
export type ConsumeEvent =
  | { readonly event: 'ready' }
  | { readonly event: 'counted'; readonly delivered: number; readonly atMs: number; readonly cpuMs: number }
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
const mostJobs = 5_000_000

/**
 * The worker side of most scenarios, in a process of its own: says that it is ready, starts on the parent's order, reports
 * the last delivery, goes on listening for repeated ones until it is told to finish.
 */
export async function consume(args: ConsumeArgs, parent: ParentLink): Promise<ConsumeResult> {
  const { port, concurrency, jobs } = args
  const system = await loadSystem(args.system)
  await warmUpConsumer(system, port, concurrency)

  const check = new DeliveryCheck(jobs ?? mostJobs, jobs)
  const arrivals = args.keepsArrivals ? new Float64Array(jobs ?? 0) : undefined
  let startedAtMs = 0
  let firstAtMs = 0
  let firstCpu = process.cpuUsage()
  let cpuMs = 0
  const consumer = await system.openConsumer(
    { port, queue: queueName },
    {
      concurrency,
      async handler(payload) {
        if (firstAtMs === 0) {
          firstAtMs = monotonicMs()
          firstCpu = process.cpuUsage()
        }
        if (arrivals) arrivals[payload.n] ||= monotonicMs()
        check.record(payload)
        if (check.isComplete) reportDelivered()
      },
    },
  )

  function reportDelivered(): void {
    if (cpuMs > 0) return // once
    const lastAtMs = monotonicMs()
    cpuMs = milliseconds(process.cpuUsage(firstCpu))
    tell({ event: 'delivered', startedAtMs, firstAtMs, lastAtMs })
  }

  function tell(event: ConsumeEvent): void {
    parent.send(event)
  }

  async function obey(): Promise<void> {
    for (;;) {
      const message = (await parent.receive()) as ConsumeOrder
      switch (message.order) {
        case 'start':
          startedAtMs = monotonicMs()
          await consumer.start()
          break
        case 'count':
          tell({
            event: 'counted',
            delivered: check.delivered,
            atMs: monotonicMs(),
            cpuMs: milliseconds(process.cpuUsage()),
          })
          break
        case 'expect':
          check.expect(message.jobs)
          if (check.isComplete) reportDelivered()
          break
        case 'finish':
          return
      }
    }
  }

  tell({ event: 'ready' })
  await obey()
  await consumer.stop()
  return { verdict: check.verdict(), cpuMs, ...(arrivals ? { arrivals } : {}) }
}

function milliseconds({ user, system }: NodeJS.CpuUsage): number {
  return (user + system) / 1000
}
