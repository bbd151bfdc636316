import type { RawRedis } from '../queue/systems/raw-redis.ts'

/**
 * What the scenarios need of a system under test. Each has one file in systems/ that implements it the way its own documentation
 * recommends; nothing else in here knows a system's API.
 */
export interface OutboxSystem {
  readonly name: SystemName
  readonly title: string
  /** Packages whose versions go into the result. */
  readonly packages: readonly string[]
  /** Every setting that is not the system's default, and why. Printed with the result. */
  readonly settings: readonly string[]
  /** Makes what it needs in an empty database, and the function of `recordFunction` (event.ts). */
  readonly prepare: (databaseUrl: string) => Promise<void>
  /** Resolves when everything is connected; events are relayed from `start` on. */
  readonly openRelay: (place: Place) => Promise<Relay>
  /** Where events arrive. */
  readonly arrivals: Arrivals
  /** Divides the events of a backlog: a system that takes an hour for what another does in a second shows its rate with fewer. */
  readonly backlogDivisor: number
}

/** What of the events is in Redis, and who waits for them there. */
export interface Arrivals {
  /** How many there are so far. */
  count(redis: RawRedis): Promise<number>
  /** Reads all that lies there, raw; those of a key in their order. */
  read(redis: RawRedis, onArrival: OnArrival): Promise<void>
  /** Takes them as they come. Resolves when it is connected. */
  openReader(redisPort: number, onArrival: OnArrival): Promise<Reader>
}

export type OnArrival = (key: string, event: EventData) => void

export interface Reader {
  stop(): Promise<void>
}

export type SystemName = 'moca' | 'bare-receiver' | 'pg-outbox-replication' | 'pg-outbox-polling'

/** Where a system works. */
export interface Place {
  readonly databaseUrl: string
  readonly redisPort: number
}

export interface Relay {
  start(): Promise<void>
  /** Lets what is under way settle. It can be started again. */
  stop(): Promise<void>
  /** Stops and disconnects. */
  close(): Promise<void>
}

/** The data of every event: its number within its key, its number within the measurement, and filling. */
export interface EventData {
  readonly n: number
  readonly i: number
  readonly text: string
}

/** Loads one system only: a process must not carry the code of the others. */
export function loadSystem(name: SystemName): Promise<OutboxSystem> {
  return loaders[name]()
}

const loaders: Record<SystemName, () => Promise<OutboxSystem>> = {
  moca: async () => (await import('./systems/moca.ts')).moca,
  'bare-receiver': async () => (await import('./systems/bare-receiver.ts')).bareReceiver,
  'pg-outbox-replication': async () => (await import('./systems/pg-transactional-outbox.ts')).replication,
  'pg-outbox-polling': async () => (await import('./systems/pg-transactional-outbox.ts')).polling,
}

/** In the order of the tables. */
export const systemNames: readonly SystemName[] = [
  'moca',
  'bare-receiver',
  'pg-outbox-replication',
  'pg-outbox-polling',
]
