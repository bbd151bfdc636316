import type { Payload } from './payload.ts'

/**
 * What the scenarios need of a system under test. Each system has one file in systems/ that implements it the way its
 * own documentation recommends; nothing else in here knows a system's API.
 */
export interface QueueSystem {
  readonly name: SystemName
  readonly title: string
  /** Packages whose versions go into the result. */
  readonly packages: readonly string[]
  /** Every setting that is not the system's default, and why. Printed with the result. */
  readonly settings: readonly string[]
  /** Whether a caller can name a job, so that enqueuing it twice makes one job. */
  readonly hasGivenIds: boolean
  /** Resolves when the connection stands and the scripts are loaded. */
  readonly openProducer: (place: Place) => Promise<Producer>
  /** Resolves when everything is connected; jobs are fetched from `start` on. */
  readonly openConsumer: (place: Place, options: ConsumerOptions) => Promise<Consumer>
}

export type SystemName = 'moca' | 'bullmq' | 'bee-queue' | 'bare-streams'

/** Where a system works: jobs of different queues never meet. */
export interface Place {
  readonly port: number
  readonly queue: string
}

export interface Producer {
  enqueue(payload: Payload): Promise<void>
  /** One call of the system's way to enqueue many jobs at once. */
  enqueueMany(payloads: readonly Payload[], options?: EnqueueManyOptions): Promise<void>
  counts(): Promise<OpenJobs>
  close(): Promise<void>
}

export interface EnqueueManyOptions {
  /** Wall-clock milliseconds at which the jobs fall due. */
  readonly dueAtMs?: number
  /** Gives every job an id of the caller's choice, against enqueuing it twice. */
  readonly hasGivenId?: boolean
}

/** Jobs that are accepted and not yet settled. */
export interface OpenJobs {
  readonly waiting: number
  readonly active: number
  readonly delayed: number
}

export interface ConsumerOptions {
  readonly concurrency: number
  readonly handler: (payload: Payload) => Promise<void>
}

export interface Consumer {
  start(): Promise<void>
  /** Finishes what runs and disconnects. */
  stop(): Promise<void>
}

/** Loads one system only: a process must not carry the code of the others. */
export function loadSystem(name: SystemName): Promise<QueueSystem> {
  return loaders[name]()
}

const loaders: Record<SystemName, () => Promise<QueueSystem>> = {
  moca: async () => (await import('./systems/moca.ts')).moca,
  bullmq: async () => (await import('./systems/bullmq.ts')).bullmq,
  'bee-queue': async () => (await import('./systems/bee-queue.ts')).beeQueue,
  'bare-streams': async () => (await import('./systems/bare-streams.ts')).bareStreams,
}

/** In the order of the tables. */
export const systemNames: readonly SystemName[] = ['moca', 'bullmq', 'bee-queue', 'bare-streams']
