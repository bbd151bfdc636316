import type { MocaConfig } from '../config/config.ts'
import type { Job } from '../job/job.ts'
import type { Link } from '../redis/link.ts'
import type { EnqueueOptions } from './enqueue-options.ts'
import type { NamespaceConnection } from './namespace.ts'
import type { EnqueueResult, Producer } from './producer.ts'

/** The job queue as an application sees it: `moca.queue`. */
export class JobQueue {
  readonly #producer: Producer
  readonly #link: Link<NamespaceConnection>
  readonly #config: MocaConfig

  constructor(producer: Producer, link: Link<NamespaceConnection>, config: MocaConfig) {
    this.#producer = producer
    this.#link = link
    this.#config = config
  }

  /**
   * Enqueues one job. Settles within `enqueueTimeout`. Rejects with PayloadError, OptionError, QueueFullError, or EnqueueError (whose
   * `mayHaveBeenApplied` says whether it may have been accepted all the same).
   * @example const { id, status } = await moca.queue.enqueue(sendInvoice, { orderId: '42' }, { delay: '5m', key: 'customer:7' })
   */
  enqueue<Input>(
    job: Job<Input, unknown>,
    payload: Input,
    options?: EnqueueOptions & { queue?: string },
  ): Promise<EnqueueResult> {
    return this.#producer.enqueue(job, payload, options)
  }

  /** Enqueues many jobs of one kind in order; each 1,000 (or 8 MiB) are accepted all or none. Rejects as `enqueue` does. */
  enqueueMany<Input>(
    job: Job<Input, unknown>,
    items: readonly ({ readonly payload: Input } & EnqueueOptions)[],
    options?: { queue?: string },
  ): Promise<EnqueueResult[]> {
    return this.#producer.enqueueMany(job, items, options)
  }
}
