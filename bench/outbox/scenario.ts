import type { ChildOptions } from '../child.ts'
import type { BenchRedis } from '../queue/bench-redis.ts'
import type { RawRedis } from '../queue/systems/raw-redis.ts'
import type { BenchPostgres } from './bench-postgres.ts'
import type { Place, SystemName } from './system.ts'

/** One row or more of the result. */
export interface Scenario {
  readonly name: string
  readonly title: string
  readonly metrics: readonly Metric[]
  /** Systems that it says something of; undefined: all. */
  readonly systems?: readonly SystemName[]
  /** One measurement of one system on an empty database and an empty Redis. Throws when an event was lost, or made up. */
  run(context: ScenarioContext): Promise<Sample>
}

export interface Metric {
  readonly name: string
  readonly title: string
  readonly unit: Unit
}

export type Unit = 'events/s' | 'ms' | 'us/event' | '% of a core'

export interface ScenarioContext {
  readonly system: SystemName
  readonly postgres: BenchPostgres
  readonly redis: BenchRedis
  /** To look at what arrived. */
  readonly observer: RawRedis
  readonly place: Place
  /** A tenth of the events: to see that everything works, not to learn numbers. */
  readonly isQuick: boolean
  /** For relays; `--cpu-prof` for instance. */
  readonly childOptions: ChildOptions
}

export interface Sample {
  /** By metric name. */
  readonly metrics: Readonly<Record<string, number>>
  /** CPU, conflicts, what the check of the arrivals found, and the like. */
  readonly facts?: Readonly<Record<string, number>>
  /** Every single value behind the metrics; goes to the raw results alone. */
  readonly series?: Readonly<Record<string, readonly number[]>>
}
