import { type Child, startChild } from '../child.ts'
import { monotonicMs, sleep } from '../clock.ts'
import type { RedisUsage } from './bench-redis.ts'
import {
  type ConsumeArgs,
  type ConsumeEvent,
  type ConsumeOrder,
  type ConsumeResult,
  consume,
  queueName,
} from './consume.ts'
import { isExact } from './delivery-check.ts'
import type { ScenarioContext } from './scenario.ts'
import { loadSystem, type Producer } from './system.ts'

const moduleUrl = new URL('./consume.ts', import.meta.url).href
const settleDeadlineMs = 30_000

export interface Delivery {
  readonly startedAtMs: number
  readonly firstAtMs: number
  readonly lastAtMs: number
  /** When no job was left in Redis. */
  readonly settledAtMs: number
  readonly redisUsage: RedisUsage
}

/** A worker in a process of its own, seen from the process that measures. See `consume` for the other side. */
export class ConsumerProcess {
  readonly #context: ScenarioContext
  readonly #child: Child<ConsumeResult>
  /** Tells what is left in Redis. */
  readonly #observer: Producer

  private constructor(context: ScenarioContext, child: Child<ConsumeResult>, observer: Producer) {
    this.#context = context
    this.#child = child
    this.#observer = observer
  }

  /** Resolves when the worker is warm and connected, and waits for `start`. */
  static async open(
    context: ScenarioContext,
    args: Pick<ConsumeArgs, 'concurrency' | 'jobs' | 'keepsArrivals'>,
  ): Promise<ConsumerProcess> {
    const { system, redis, childOptions } = context
    const child = startChild(moduleUrl, consume, { ...args, system, port: redis.port }, childOptions)
    await expectEvent(child, 'ready')
    const { openProducer } = await loadSystem(system)
    return new ConsumerProcess(context, child, await openProducer({ port: redis.port, queue: queueName }))
  }

  /** Lets the worker fetch. Resolves when every expected job was delivered and settled. */
  async run(): Promise<Delivery> {
    const before = await this.start()
    const { startedAtMs, firstAtMs, lastAtMs } = await expectEvent(this.#child, 'delivered')
    const settledAtMs = await this.#untilSettled()
    const after = await this.#context.redis.usage()
    const redisUsage = { cpuMs: after.cpuMs - before.cpuMs, commands: after.commands - before.commands }
    return { startedAtMs, firstAtMs, lastAtMs, settledAtMs, redisUsage }
  }

  /** Lets the worker fetch. Resolves with what Redis had used until then. */
  async start(): Promise<RedisUsage> {
    const usage = await this.#context.redis.usage()
    this.#order({ order: 'start' })
    return usage
  }

  /** What the worker has done so far. */
  count(): Promise<Extract<ConsumeEvent, { event: 'counted' }>> {
    this.#order({ order: 'count' })
    return expectEvent(this.#child, 'counted')
  }

  /** Tells how many jobs there were. Resolves when all were delivered and settled. */
  async expect(jobs: number): Promise<void> {
    this.#order({ order: 'expect', jobs })
    await expectEvent(this.#child, 'delivered')
    await this.#untilSettled()
  }

  /** Ends the worker and makes sure that it was given each job exactly once. */
  async finish(): Promise<ConsumeResult> {
    await sleep(50) // for a job that comes a second time
    this.#order({ order: 'finish' })
    const result = await this.#child.result()
    await this.#observer.close()
    if (!isExact(result.verdict)) throw new Error(`Delivery was not exact: ${JSON.stringify(result.verdict)}`)
    return result
  }

  #order(order: ConsumeOrder): void {
    this.#child.send(order)
  }

  async #untilSettled(): Promise<number> {
    const startedAtMs = monotonicMs()
    for (;;) {
      const { waiting, active, delayed } = await this.#observer.counts()
      const nowMs = monotonicMs()
      if (waiting + active + delayed === 0) return nowMs
      if (nowMs - startedAtMs > settleDeadlineMs) {
        throw new Error(`All jobs were delivered, but left in Redis: ${JSON.stringify({ waiting, active, delayed })}`)
      }
      await sleep(1)
    }
  }
}

/** CPU and commands per job, as they stand in the results. */
export function costsPerJob(jobs: number, { redisUsage }: Delivery, { cpuMs }: ConsumeResult): Record<string, number> {
  return {
    workerCpuUsPerJob: (cpuMs * 1000) / jobs,
    redisCpuUsPerJob: (redisUsage.cpuMs * 1000) / jobs,
    redisCommandsPerJob: redisUsage.commands / jobs,
  }
}

async function expectEvent<Name extends ConsumeEvent['event']>(
  child: Child<ConsumeResult>,
  name: Name,
): Promise<Extract<ConsumeEvent, { event: Name }>> {
  const message = (await child.receive()) as ConsumeEvent
  if (message.event !== name) throw new Error(`Expected the worker to say ${name}, it said ${message.event}`)
  return message as Extract<ConsumeEvent, { event: Name }>
}
