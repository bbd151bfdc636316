import type { Duration } from '../job/duration.ts'
import type { Job } from '../job/job.ts'

/** What an application writes in `moca.config.ts`. Everything is optional. Durations: milliseconds, or `'500ms'` `'30s'` `'5m'` `'2h'` `'1d'`. */
export interface ConfigInput {
  /** Keeps deployments on one Redis apart: part of every key. 1 to 64 of a-z 0-9 _ -. Environment: MOCA_NAMESPACE. Default `default`. */
  readonly namespace?: string
  readonly redis?: RedisInput
  /** Queues beside, or other settings for, `critical` (weight 6), `default` (3) and `long` (1). */
  readonly queues?: Readonly<Record<string, QueueInput>>
  /** Bundles of jobs, each made by `defineApp`. Workers started by the command line run their handlers. */
  readonly apps?: readonly App[]
  /** How jobs are accepted. */
  readonly queue?: ProducerInput
  /** How jobs are run. */
  readonly worker?: WorkerInput
  /** How much is remembered of completed jobs. It costs memory of Redis: about 30 bytes a job. */
  readonly history?: {
    /** Completed jobs that the history of a queue keeps, roughly. `0`: none. Default 10,000. */
    readonly entries?: number
    /** Older entries are forgotten. Default 24 h. */
    readonly age?: Duration
  }
}

export interface RedisInput {
  /** `redis[s]://[[user][:password]@]host[:port][/db]`. Environment: REDIS_URL. Default `redis://127.0.0.1:6379`. */
  readonly url?: string
  /** Longest time for a connection to come up. Default 5 s. */
  readonly connectTimeout?: Duration
  /** A command unanswered for so long means that the connection hangs: it is replaced. Longer than the slowest pause of your Redis. Default 10 s. */
  readonly replyTimeout?: Duration
}

export interface QueueInput {
  /** Share of a worker's fetches while several queues have jobs, 1 to 1,000. Default 1 (critical 6, default 3, long 1). */
  readonly weight?: number
  /** Jobs of this queue that one worker runs at once. Default: `worker.concurrency`. */
  readonly concurrency?: number
  /** More waiting jobs than this are refused with QueueFullError; nothing is dropped. Default: no limit but Redis's memory. */
  readonly maxWaiting?: number
}

export interface ProducerInput {
  /** `enqueue` settles within this time, also while Redis is away. Default 5 s. */
  readonly enqueueTimeout?: Duration
  /** Longest payload as JSON. Large ones make everything slower; store a reference instead. Default 1 MiB. */
  readonly maxPayloadBytes?: number
  /** How long an idempotency key is remembered. Default 24 h. */
  readonly idempotencyTtl?: Duration
  /** Enqueues that may wait for a connection; beyond it they are refused at once, so that an outage does not fill the memory. Default 10,000. */
  readonly maxPendingJobs?: number
}

export interface WorkerInput {
  /** Jobs that a worker runs at once, per queue. Default 10. */
  readonly concurrency?: number
  /** A worker silent for so long has died, and its jobs go to others. Shorter: faster rescue, more false alarms. At least 1 s. Default 30 s. */
  readonly lease?: Duration
  /** How often a worker looks for jobs of dead ones; at most two leases. Default half a lease. */
  readonly sweepInterval?: Duration
  /** After a stop begins, running jobs may go on for so long before their `signal` aborts. Default 10 s. */
  readonly softTimeout?: Duration
  /** A stop takes no longer than this; what still runs is handed back to other workers. At least softTimeout. Default 25 s. */
  readonly stopTimeout?: Duration
  /** How long a handler may take to return after its job's timeout before the attempt counts as failed. Default 5 s. */
  readonly grace?: Duration
  /** A job without timeout is renewed while the event loop is blocked for at most so long; then the process counts as hung. Default 5 min. */
  readonly maxBlocked?: Duration
  /** A job that so many workers died of (the first is not counted) is a dead letter. Default 3. */
  readonly maxStalls?: number
  /** How long a job waits for a worker that has a handler for its type before it is a dead letter. Default 1 h. */
  readonly unhandledGrace?: Duration
  /** Serve queues strictly in the order of their weights: lower ones may starve. Default false. */
  readonly strict?: boolean
  /** A job fetched but not started within this time is handed back to the others. Default 50 ms. */
  readonly handBack?: Duration
  /** Port for /healthz, /readyz and /metrics of worker processes. Default: none. */
  readonly healthPort?: number
  /** Address for that port. Default: all addresses, because probes come from outside. */
  readonly healthHost?: string
}

/** A bundle that an application installs: its jobs, and where their handlers are. Made by `defineApp`. */
export interface App {
  readonly name: string
  readonly jobs: readonly Job[]
  /** Loaded by workers only, so that producers do not carry worker code. The handlers are the exports of the module. */
  readonly handlers: () => Promise<object>
}
