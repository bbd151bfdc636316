import { MocaError, OptionError } from '../errors.ts'
import type { EventInput } from '../events/event.ts'
import { type PublishHooks, publishThrough } from '../events/publish-hook.ts'
import { describeValue } from '../job/describe-value.ts'
import { type EnqueueOptions, type OptionsPlace, parseEnqueueOptions, requireOptions } from '../job/enqueue-options.ts'
import { type Job, requireJob } from '../job/job.ts'
import { type EnqueueHooks, type EnqueueItem, enqueueThrough } from '../job/job-hooks.ts'
import { requireQueueName } from '../job/job-id.ts'
import { encodePayload } from '../job/payload.ts'
import { encodeEventRequest, encodeJobRequest } from './record.ts'
import { asRecordError } from './record-refusal.ts'
import { requireExecutor, type SqlExecutor } from './sql-executor.ts'
import { quoteIdentifier } from '../postgres/identifier.ts'

export interface OutboxOptions {
  /** The schema that `moca migrate` made. */
  readonly schema: string
  /** Of events that do not say their source. */
  readonly source: string | undefined
  /** Longest event or payload. */
  readonly maxBytes: number
  /** Around each call. Default: none. */
  readonly hooks?: { readonly enqueue: EnqueueHooks; readonly publish: PublishHooks }
}

export interface RecordOptions {
  /**
   * Takes a lock on the key until the transaction ends. Needed only where the row that the event is about is not written, or locked,
   * before: otherwise two transactions may commit in another order than they recorded in. Default false.
   */
  readonly lock?: boolean
}

export interface RecordedJob {
  readonly id: string
  /** It is enqueued soon after the transaction commits, and never if it does not. */
  readonly status: 'recorded'
}

const PLACE: OptionsPlace = {
  name: 'outbox.enqueue',
  besides: 'queue',
  elsewhere: new Map([
    ['backoff', "belongs into retry: { backoff: 'fixed' }"],
    ['maxDelay', "belongs into retry: { maxDelay: '1h' }"],
    ['jitter', 'belongs into retry: { jitter: 0 }'],
    ['payload', 'is an argument of its own: enqueue(tx, job, payload, options)'],
  ]),
}

/**
 * Records events and jobs in the caller's transaction: `moca.outbox`. They reach their handlers if and only if it commits. Needs no
 * connection of its own, and no Redis: relays bring what was recorded further.
 */
export class Outbox {
  readonly #options: OutboxOptions
  readonly #statement: string

  constructor(options: OutboxOptions) {
    this.#options = options
    this.#statement = `select ${quoteIdentifier(options.schema)}.record($1) as recorded`
  }

  /**
   * Records an event, or several of one topic, and returns the id of each. Events with one key arrive in the order of commits: record
   * after writing the row. Rejects with OptionError or PayloadError before the statement is sent, as far as it can be known here, so
   * that the transaction can go on.
   * @example await moca.outbox.record(tx, 'shop.orders', { type: 'order.paid', key: `order:${id}`, data: { id, total } })
   */
  record<Data>(tx: SqlExecutor, topic: string, event: EventInput<Data>, options?: RecordOptions): Promise<string>
  record<Data>(
    tx: SqlExecutor,
    topic: string,
    events: readonly EventInput<Data>[],
    options?: RecordOptions,
  ): Promise<string[]>
  async record(
    tx: SqlExecutor,
    topic: string,
    event: EventInput | readonly EventInput[],
    options: RecordOptions = {},
  ): Promise<string | string[]> {
    requireExecutor(tx, 'outbox.record')
    requireRecordOptions(options)
    const settings = { ...this.#options, lock: requireLock(options.lock) }
    if (!isList(event)) {
      const recordOne = ([one]: readonly EventInput[]) =>
        this.#run(tx, encodeEventRequest(topic, one as EventInput, settings), one?.type)
      return this.#publish(topic, [event], recordOne)
    }
    if (event.length === 0) return []
    return this.#publish(topic, event, async (events) => {
      const items = events.map((item, index) => atItem(index, () => encodeEventRequest(topic, item, settings)))
      return JSON.parse(await this.#run(tx, `[${items.join(',')}]`, undefined)) as string[]
    })
  }

  #publish<Result>(
    topic: string,
    events: readonly EventInput[],
    record: (events: readonly EventInput[]) => Promise<Result>,
  ): Promise<Result> {
    return publishThrough(this.#options.hooks?.publish ?? [], { topic, events, isRecorded: true }, record)
  }

  /**
   * Records a job, to be enqueued when the transaction commits. Rejects with ConfigError (no job), OptionError or PayloadError before the
   * statement is sent. Options are those of `moca.queue.enqueue`, but for `idempotencyKey`; a delay counts from now.
   * @example await moca.outbox.enqueue(tx, sendInvoice, { orderId }, { key: `customer:${customerId}` })
   */
  async enqueue<Input>(
    tx: SqlExecutor,
    job: Job<Input, unknown>,
    payload: Input,
    options: EnqueueOptions & RecordOptions & { readonly queue?: string } = {},
  ): Promise<RecordedJob> {
    requireExecutor(tx, 'outbox.enqueue')
    const contract = job as unknown as Job<never, unknown>
    requireJob(contract, 'outbox.enqueue')
    requireOptions(options, 'outbox.enqueue')
    const queue = options.queue === undefined ? job.queue : requireQueueName(options.queue)
    const { lock, queue: _queue, ...jobOptions } = options
    const facts = { job: contract, queue, items: [{ ...jobOptions, payload }], isRecorded: true }
    const id = await enqueueThrough(this.#options.hooks?.enqueue ?? [], facts, async ([item]) => {
      const { payload: changed, ...chosen } = item as EnqueueItem
      refuseIdempotencyKey(chosen.idempotencyKey)
      const request = encodeJobRequest({
        type: job.type,
        queue,
        options: parseEnqueueOptions(chosen, contract, PLACE),
        payload: await encodePayload(contract, changed, this.#options.maxBytes, 'outbox.maxBytes'),
        lock: requireLock(lock),
      })
      return this.#run(tx, request, job.type)
    })
    return { id, status: 'recorded' }
  }

  async #run(tx: SqlExecutor, request: string, type: string | undefined): Promise<string> {
    let answer: Awaited<ReturnType<SqlExecutor['query']>>
    try {
      answer = await tx.query(this.#statement, [request])
    } catch (error) {
      throw asRecordError(error, type)
    }
    // A caller without types may have written an executor of his own.
    const rows = isList(answer) ? answer : (answer as Partial<typeof answer> | undefined)?.rows
    const { recorded } = (rows?.[0] ?? {}) as { recorded?: unknown }
    if (typeof recorded === 'string') return recorded
    throw new TypeError(`The transaction's query() must resolve with rows, or { rows }; found ${describeValue(answer)}`)
  }
}

// Not Array.isArray alone: it takes a readonly list for none.
function isList<T>(value: readonly T[] | object): value is readonly T[] {
  return Array.isArray(value)
}

function requireRecordOptions(options: RecordOptions): void {
  requireOptions(options, 'outbox.record')
  const strange = Object.keys(options).find((name) => name !== 'lock')
  if (strange === undefined) return
  throw new OptionError(`outbox.record has no option ${strange}. Known is lock.`, { option: strange })
}

function requireLock(lock: unknown = false): boolean {
  if (typeof lock === 'boolean') return lock
  throw new OptionError(`lock must be true or false; found ${describeValue(lock)}`, { option: 'lock', found: lock })
}

function refuseIdempotencyKey(key: unknown): void {
  if (key === undefined) return
  throw new OptionError(
    'outbox.enqueue takes no idempotencyKey: what is recorded twice was committed twice. A unique constraint of your own tables prevents that, in the same transaction.',
    { option: 'idempotencyKey' },
  )
}

/** Says of an event's error which one it was. */
function atItem<T>(index: number, encode: () => T): T {
  try {
    return encode()
  } catch (error) {
    if (!(error instanceof MocaError)) throw error
    error.message = `events[${index}]: ${error.message}`
    throw Object.assign(error, { facts: Object.freeze({ ...error.facts, index }) })
  }
}
