import type { ChildOptions } from '../child.ts'
import type { BenchRedis } from './bench-redis.ts'
import type { SystemName } from './system.ts'

/** One row or more of the result: a way to use the queue and the numbers that tell how well it goes. */
export interface Scenario {
  readonly name: string
  readonly title: string
  readonly metrics: readonly Metric[]
  /** For what hardly varies. */
  readonly maxRounds?: number
  /** One measurement of one system on an empty Redis. Throws when a job was lost, repeated or damaged. */
  run(context: ScenarioContext): Promise<Sample>
}

export interface Metric {
  readonly name: string
  readonly title: string
  readonly unit: 'jobs/s' | 'ms' | 'bytes'
}

export interface ScenarioContext {
  readonly system: SystemName
  readonly redis: BenchRedis
  /** A tenth of the jobs: to see that everything works, not to learn numbers. */
  readonly isQuick: boolean
  /** For the processes under measurement; `--cpu-prof` for instance. */
  readonly childOptions: ChildOptions
}

export interface Sample {
  /** By metric name. A system that cannot do something has no value for it. */
  readonly metrics: Readonly<Record<string, number>>
  /** CPU microseconds per job, Redis commands per job and the like. */
  readonly facts?: Readonly<Record<string, number>>
  /** Every single value behind the metrics; goes to the raw results alone. */
  readonly series?: Readonly<Record<string, readonly number[]>>
}
