import type { Doctype } from '../doctype/doctype.ts'
import type { IndexHook } from '../doctype/index-hook.ts'
import type { PublishHook } from '../events/publish-hook.ts'
import type { Subscription } from '../events/subscription.ts'
import type { Duration } from '../job/duration.ts'
import type { Job } from '../job/job.ts'
import type { AttemptHook, EnqueueHook } from '../job/job-hooks.ts'
import type { Schedule } from '../scheduler/schedule.ts'

/** What an application writes in `moca.config.ts`. Everything is optional. Durations: milliseconds, or `'500ms'` `'30s'` `'5m'` `'2h'` `'1d'`. */
export interface ConfigInput {
  /** Keeps deployments on one Redis apart: part of every key. 1 to 64 of a-z 0-9 _ -. Environment: MOCA_NAMESPACE. Default `default`. */
  readonly namespace?: string
  readonly redis?: RedisInput
  /** The database whose transactions record events and jobs. Without a URL there is none: what needs it says so. */
  readonly postgres?: PostgresInput
  /** Queues beside, or other settings for, `critical` (weight 6), `default` (3) and `long` (1). */
  readonly queues?: Readonly<Record<string, QueueInput>>
  /** Bundles of jobs, each made by `defineApp`. Workers started by the command line run their handlers. */
  readonly apps?: readonly App[]
  /** Each made by `defineSchedule`, beside those of the apps. Schedulers define them when they start. Default: none. */
  readonly schedules?: readonly Schedule[]
  /** How schedules are fired. */
  readonly scheduler?: SchedulerInput
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
  /** The log of what transactions recorded, and how relays send it on. */
  readonly outbox?: OutboxInput
  readonly events?: EventsInput
  /** How search indexes follow their tables. Which there are say the doctypes of the apps. */
  readonly search?: SearchInput
  /** Code around what Moca does. Outermost; then those of the apps, in the order of the list. */
  readonly hooks?: Hooks
}

/** Code of an application around what Moca does: each gets what is done, and `next`, which does it. Default: none. */
export interface Hooks {
  /** Around each call that enqueues, in the process of the caller, e.g. to add headers. Jobs that SQL records, and those that Moca makes itself, are not enqueued by a call. */
  readonly enqueue?: EnqueueHook | undefined
  /** Around each attempt's handler, in the worker, e.g. to open a context. */
  readonly attempt?: AttemptHook | undefined
  /** Around each call that emits or records events, in the process of the caller. */
  readonly publish?: PublishHook | undefined
  /** Around the indexing of documents, in the process that keeps the index, e.g. to leave out fields of all doctypes. */
  readonly index?: IndexHook | undefined
}

export interface RedisInput {
  /** `redis[s]://[[user][:password]@]host[:port][/db]`. Environment: REDIS_URL. Default `redis://127.0.0.1:6379`. */
  readonly url?: string
  /** Longest time for a connection to come up. Default 5 s. */
  readonly connectTimeout?: Duration
  /** A command unanswered for so long means that the connection hangs: it is replaced. Longer than the slowest pause of your Redis. Default 10 s. */
  readonly replyTimeout?: Duration
}

export interface PostgresInput {
  /**
   * `postgres[ql]://[user[:password]@]host[:port]/database[?sslmode=...]`. Environment: DATABASE_URL, unless it is that of another kind
   * of database. Default: none.
   */
  readonly url?: string
  /** The schema of Moca's tables and functions, `moca.record` among them. 1 to 63 of a-z 0-9 _, beginning with a letter or _. Default `moca`. */
  readonly schema?: string
  /** Connections of one process, at most, beside the one of a relay. More than run at once only wait in PostgreSQL. Default 5. */
  readonly maxConnections?: number
  /** Longest time for a connection to come up, or for one of them to become free. Default 5 s. */
  readonly connectTimeout?: Duration
  /** A statement unanswered for so long means that the connection hangs: it is replaced. Longer than the longest wait for a lock. Default 10 s. */
  readonly replyTimeout?: Duration
}

export interface OutboxInput {
  /** A relay silent for so long has died, and its lanes go to others. Shorter: faster takeover, more false alarms. At least 1 s. Default 10 s. */
  readonly lease?: Duration
  /**
   * How often a relay looks for what is new; a twenty-fourth as often when there has been nothing for 5 s. Shorter: less to wait, more looks
   * (about 0.7 ms of processor each, most of it in the relay). At most a fifth of lease. Default 12 ms.
   */
  readonly pollInterval?: Duration
  readonly retention?: {
    /** The log keeps what is younger: what Redis forgot can be sent again, events replayed. Longer: more disk. At least 1 h. Default 7 days. */
    readonly age?: Duration
    /** Older days are dropped before their age while the log is larger. What is not relayed is always kept. Default: no limit. */
    readonly bytes?: number
  }
  /**
   * When Redis forgot, relays send again by themselves what is not older; more waits for an operator's word, since subscribers would see
   * old events again. `0`: always wait. At most retention.age. Default 10 min.
   */
  readonly redriveMax?: Duration
  /** Longest event, or payload of a job, in bytes as JSON: larger ones fail the transaction. Takes effect by `moca migrate`. Default 1 MiB. */
  readonly maxBytes?: number
  /** Port for /healthz, /readyz and /metrics of relay processes. Default: none. */
  readonly healthPort?: number
  /** Address for that port. Default: all addresses, because probes come from outside. */
  readonly healthHost?: string
}

export interface SchedulerInput {
  /** Port for /healthz, /readyz and /metrics of scheduler processes. Default: none. */
  readonly healthPort?: number
  /** Address for that port. Default: all addresses, because probes come from outside. */
  readonly healthHost?: string
}

export interface SearchInput {
  /** Whether relays (`moca outbox start`, `moca dev`) keep search indexes, too. `false`: only `moca search sync` does. Default true. */
  readonly inRelays?: boolean
  /** A writer of an index that is silent for so long has died, and the index goes to another. At least 1 s. Default 10 s. */
  readonly lease?: Duration
  /** Port for /healthz, /readyz and /metrics of `moca search sync`. Default: none. */
  readonly healthPort?: number
  /** Address for that port. Default: all addresses, because probes come from outside. */
  readonly healthHost?: string
}

export interface EventsInput {
  /** The `source` of events that name none, e.g. the application's name. 1 to 200 characters. Default: none. */
  readonly source?: string
  /** Document changes are published to topics `moca.cdc.<site>.<doctype>`, too. Default false. */
  readonly perDoctypeTopics?: boolean
}

export interface QueueInput {
  /** Share of a worker's fetches while several queues have jobs, 1 to 1,000. Default 1 (critical 6, default 3, long 1). */
  readonly weight?: number
  /** Jobs of this queue that one worker runs at once. Default: `worker.concurrency`. */
  readonly concurrency?: number
  /**
   * More waiting jobs than this are refused with QueueFullError; nothing is dropped. What an outbox brings waits in its log meanwhile; a
   * batch of it (up to 1,000 jobs) goes in whole while there is room for one. Default: no limit but Redis's memory.
   */
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

/** A bundle that an application installs: its jobs, schedules, subscriptions and doctypes, and where their handlers are. Made by `defineApp`. */
export interface App {
  readonly name: string
  readonly jobs: readonly Job[]
  readonly subscriptions: readonly Subscription[]
  readonly doctypes: readonly Doctype[]
  readonly schedules: readonly Schedule[]
  readonly handlers: AppInput['handlers']
  readonly hooks: Hooks | undefined
}

export interface AppInput {
  /** 1 to 64 of a-z 0-9 _ -, beginning with a letter or digit. */
  readonly name: string
  /** Each made by `defineJob`. Default: none. */
  readonly jobs?: readonly Job[]
  /** Each made by `defineSubscription`. Workers and relays register them when they start. Default: none. */
  readonly subscriptions?: readonly Subscription[]
  /** Each made by `defineDoctype`. Their tables can be captured (`moca outbox capture`). Default: none. */
  readonly doctypes?: readonly Doctype[]
  /** Each made by `defineSchedule`. Schedulers define them when they start. Default: none. */
  readonly schedules?: readonly Schedule[]
  /** Loaded by workers only, so that producers do not carry worker code. The handlers are the exports of the module. */
  readonly handlers: () => Promise<object>
  /** Code around what Moca does for any app, wherever this app is in the configuration. */
  readonly hooks?: Hooks
}
