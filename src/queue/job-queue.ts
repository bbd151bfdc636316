import { type Job, requireJob } from '../job/job.ts'
import { type EnqueueHooks, type EnqueueItem, enqueueThrough } from '../job/job-hooks.ts'
import type { BulkResult, PurgeFilter, RetryFilter } from './inspector/bulk-move.ts'
import { type EnqueueOptions, requireOptions } from '../job/enqueue-options.ts'
import type { Inspector, LossReport, QueueCounts, WorkerView } from './inspector/inspector.ts'
import type { JobPage, ListFilter } from './inspector/job-list.ts'
import type { JobView } from './inspector/job-view.ts'
import type { EnqueueResult, Producer } from './producer/producer.ts'

/** The job queue as an application sees it: `moca.queue`. */
export class JobQueue {
  readonly #producer: Producer
  readonly #inspector: Inspector
  readonly #hooks: EnqueueHooks

  constructor(producer: Producer, inspector: Inspector, hooks: EnqueueHooks) {
    this.#producer = producer
    this.#inspector = inspector
    this.#hooks = hooks
  }

  /**
   * Enqueues one job. Settles within `enqueueTimeout`. Rejects with PayloadError, OptionError, QueueFullError, or EnqueueError (whose
   * `mayHaveBeenApplied` says whether it may have been accepted all the same).
   * @example const { id, status } = await moca.queue.enqueue(sendInvoice, { orderId: '42' }, { delay: '5m', key: 'customer:7' })
   */
  enqueue<Input>(
    job: Job<Input, unknown>,
    payload: Input,
    options?: EnqueueOptions & { readonly queue?: string },
  ): Promise<EnqueueResult> {
    if (this.#hooks.length === 0) return this.#producer.enqueue(job, payload, options)
    return this.#enqueueThroughHooks(job, payload, options)
  }

  /** Enqueues many jobs of one kind in order; each 1,000 (or 8 MiB) are accepted all or none. Rejects as `enqueue` does. */
  enqueueMany<Input>(
    job: Job<Input, unknown>,
    items: readonly ({ readonly payload: Input } & EnqueueOptions)[],
    options?: { readonly queue?: string },
  ): Promise<EnqueueResult[]> {
    // What is no list is the producer's to refuse.
    if (this.#hooks.length === 0 || !Array.isArray(items)) return this.#producer.enqueueMany(job, items, options)
    return this.#enqueueManyThroughHooks(job, items, options)
  }

  async #enqueueThroughHooks<Input>(
    job: Job<Input, unknown>,
    payload: Input,
    options: EnqueueOptions & { readonly queue?: string } = {},
  ): Promise<EnqueueResult> {
    requireJob(job as unknown as Job<never, unknown>, 'enqueue')
    requireOptions(options, 'enqueue')
    const { queue = job.queue, ...rest } = options
    const facts = {
      job: job as unknown as Job<never, unknown>,
      queue,
      items: [{ ...rest, payload }],
      isRecorded: false,
    }
    return enqueueThrough(this.#hooks, facts, ([item]) => {
      const { payload: changed, ...chosen } = item as EnqueueItem<Input>
      return this.#producer.enqueue(job, changed, { ...chosen, queue })
    })
  }

  async #enqueueManyThroughHooks<Input>(
    job: Job<Input, unknown>,
    items: readonly EnqueueItem<Input>[],
    options: { readonly queue?: string } = {},
  ): Promise<EnqueueResult[]> {
    requireJob(job as unknown as Job<never, unknown>, 'enqueueMany')
    requireOptions(options, 'enqueueMany')
    const { queue = job.queue } = options
    const facts = { job: job as unknown as Job<never, unknown>, queue, items, isRecorded: false }
    return enqueueThrough(this.#hooks, facts, (changed) =>
      this.#producer.enqueueMany(job, changed as readonly EnqueueItem<Input>[], options),
    )
  }

  /**
   * Takes a job back that has not started, or gives up a dead letter that keeps its key (`onDead: 'block'`). `active`: a worker has it;
   * `not_found`: it ended, died (and keeps no key) or never was.
   */
  cancel(id: string): Promise<'cancelled' | 'active' | 'not_found'> {
    return this.#inspector.cancel(id)
  }

  /** A job as it stands; undefined when it never was, or ended and the history does not show it any more. */
  inspect(id: string): Promise<JobView | undefined> {
    return this.#inspector.inspect(id)
  }

  /** Lists jobs in queue order. A page scans at most 10,000 entries and tells where the next begins. */
  list(filter?: ListFilter): Promise<JobPage> {
    return this.#inspector.list(filter)
  }

  /** What stands where, and what happened since the beginning: all queues at one instant. Default: every queue ever used. */
  counts(queues?: readonly string[]): Promise<Record<string, QueueCounts>> {
    return this.#inspector.counts(queues)
  }

  /** Starts a dead letter anew, its history kept. */
  retry(id: string): Promise<'retried' | 'not_dead' | 'not_found'> {
    return this.#inspector.retry(id)
  }

  /** Starts dead letters anew, oldest first. */
  retryAll(filter?: RetryFilter): Promise<BulkResult> {
    return this.#inspector.retryAll(filter)
  }

  /** Deletes jobs that no worker has. There is no way back. */
  purge(filter: PurgeFilter): Promise<BulkResult> {
    return this.#inspector.purge(filter)
  }

  /** What processes found that the server forgot, newest first. */
  losses(): Promise<LossReport[]> {
    return this.#inspector.losses()
  }

  /** The workers that gave a sign of life lately. */
  workers(): Promise<WorkerView[]> {
    return this.#inspector.workers()
  }
}
