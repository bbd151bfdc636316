import type { Clock } from '../../clock.ts'
import { ClosedError, EnqueueError, MocaError, OptionError, QueueFullError } from '../../errors.ts'
import { describeValue } from '../../job/describe-value.ts'
import { type EnqueueOptions, type OptionsPlace, requireOptions } from '../../job/enqueue-options.ts'
import { type Job, requireJob } from '../../job/job.ts'
import { givenPlace, requireQueueName } from '../../job/job-id.ts'
import { encodePayload } from '../../job/payload.ts'
import type { Link } from '../../redis/link.ts'
import { type EncodedJob, EnqueueCall, type EnqueueReply, type EnqueueResult } from './enqueue-call.ts'
import { ENQUEUE, ENQUEUE_MANY, encodeOptions, requireManyOptions } from './enqueue-options.ts'
import type { ConfirmedCounts } from '../confirmed-counts.ts'
import { largeBytes } from '../entry.ts'
import type { NamespaceConnection } from '../namespace.ts'
import { mustReopen } from '../namespace.ts'
import { explainFailure, wasRefusedUnapplied } from '../refusals.ts'
import { loadScripts } from '../scripts.ts'

/** At most so many jobs, or bytes, go into one script: it holds up everybody else while it runs. */
const BATCH_JOBS = 1_000
const BATCH_BYTES = 8 * 1024 * 1024
/** Fewer single enqueues than this are not worth a script of their own. */
const LEAST_BATCH_JOBS = 32

export type { EnqueueResult }

export interface ProducerOptions {
  readonly enqueueTimeoutMs: number
  readonly maxPayloadBytes: number
  readonly idempotencyTtlMs: number
  readonly maxPendingJobs: number
  /** Most waiting jobs per queue; a queue that is not named has no limit. */
  readonly maxWaiting: Readonly<Record<string, number | undefined>>
}

export interface ProducerDeps {
  readonly link: Link<NamespaceConnection>
  readonly counts: ConfirmedCounts
  readonly clock: Clock
  readonly options: ProducerOptions
}

interface Waiter<T> {
  readonly resolve: (result: T) => void
  readonly reject: (error: Error) => void
}

/** Jobs that go out in one script, with whoever waits for each. */
interface Batch {
  readonly call: EnqueueCall
  /** Somebody for each job, in order; or one for all of them. */
  readonly waiters: Waiter<EnqueueResult>[]
  readonly waiterForAll: Waiter<EnqueueResult[]> | undefined
  isSent: boolean
  isSettled: boolean
  readonly deadline: number
}

/** Single enqueues of one queue that have not gone out: the first batches are full, the last takes more. */
interface Open {
  readonly batches: Batch[]
  /** How many jobs the last one takes. */
  mostJobs: number
}

/**
 * Accepts jobs. Single enqueues of one turn of the event loop share a script (a round trip costs twenty times what a job costs).
 * Every enqueue settles within `enqueueTimeoutMs`: accepted, or an error that says whether it may have been applied all the same.
 */
export class Producer {
  readonly #deps: ProducerDeps
  readonly #open = new Map<string, Open>()
  readonly #underWay = new Set<Promise<void>>()
  #isFlushScheduled = false
  #pendingJobs = 0
  #pendingSingles = 0
  /** How many single enqueues share a script: half of those that are pending, so that Redis works on one half while the other is made. */
  #mostJobs = LEAST_BATCH_JOBS
  #isClosed = false

  constructor(deps: ProducerDeps) {
    this.#deps = deps
  }

  /** Enqueues one job. Rejects with ConfigError (no job), PayloadError, OptionError, QueueFullError or EnqueueError. */
  enqueue<Input>(
    job: Job<Input, unknown>,
    payload: Input,
    options?: EnqueueOptions & { queue?: string },
  ): Promise<EnqueueResult> {
    try {
      const contract = job as unknown as Job<never, unknown>
      requireJob(contract, 'enqueue')
      requireOptions(options, 'enqueue')
      const queue = options?.queue === undefined ? job.queue : requireQueueName(options.queue)
      const encoded = this.#encode(contract, payload, options, ENQUEUE)
      return encoded instanceof Promise ? encoded.then((ready) => this.#join(queue, ready)) : this.#join(queue, encoded)
    } catch (error) {
      return Promise.reject(error instanceof Error ? error : new Error(String(error)))
    }
  }

  /**
   * Enqueues many jobs of one kind, in order, each 1,000 (or 8 MiB) atomically: all accepted or none. Rejects as `enqueue` does; the
   * error's fact `accepted` holds the results of the thousands before. A payload or option that is refused refuses the whole call.
   */
  async enqueueMany<Input>(
    job: Job<Input, unknown>,
    items: readonly ({ readonly payload: Input } & EnqueueOptions)[],
    options: { queue?: string } = {},
  ): Promise<EnqueueResult[]> {
    const contract = job as unknown as Job<never, unknown>
    requireJob(contract, 'enqueueMany')
    requireOptions(options, 'enqueueMany')
    requireManyOptions(options)
    if (!Array.isArray(items)) {
      throw new OptionError(`enqueueMany takes a list of items { payload, ... }; found ${describeValue(items)}`, {
        option: 'items',
      })
    }
    const queue = options.queue === undefined ? job.queue : requireQueueName(options.queue)
    const calls: EnqueueCall[] = []
    for (let index = 0; index < items.length; index++) {
      const encoded = this.#encodeItem(contract, items[index], index)
      const ready = encoded instanceof Promise ? await encoded : encoded
      let call = calls.at(-1)
      if (!call || call.count >= BATCH_JOBS || call.bytes + ready[2].length > BATCH_BYTES) {
        call = new EnqueueCall(queue, true)
        calls.push(call)
      }
      call.add(ready)
    }
    const results: EnqueueResult[] = []
    const sending: Promise<EnqueueResult[]>[] = []
    const settleFirst = async () => {
      const first = sending.shift()
      if (first) results.push(...(await first))
    }
    try {
      for (const call of calls) {
        const sent = this.#sendMany(call)
        sent.catch(() => undefined) // it may fail before the one ahead of it, which is looked at first
        sending.push(sent)
        if (sending.length > 1) await settleFirst()
      }
      while (sending.length > 0) await settleFirst()
    } catch (error) {
      // The part sent behind the failed one may have been accepted: its caller cannot know the order, so its outcome is told too.
      const rest = await Promise.allSettled(sending)
      const accepted = results.concat(rest.flatMap((part) => (part.status === 'fulfilled' ? part.value : [])))
      if (error instanceof MocaError) Object.assign(error, { facts: Object.freeze({ ...error.facts, accepted }) })
      throw error
    }
    return results
  }

  /** Refuses new jobs and waits until the others are settled, which `enqueueTimeoutMs` bounds. Twice is harmless. */
  async close(): Promise<void> {
    this.#isClosed = true
    while (this.#open.size > 0) this.#flush()
    while (this.#underWay.size > 0) await Promise.all(this.#underWay)
  }

  #encodeItem(job: Job<never, unknown>, item: unknown, index: number): EncodedJob | Promise<EncodedJob> {
    try {
      if (typeof item !== 'object' || item === null || !('payload' in item)) {
        throw new OptionError(`an item is an object { payload, ... }; found ${describeValue(item)}`, {
          option: 'items',
        })
      }
      const encoded = this.#encode(
        job,
        item.payload,
        hasOptions(item) ? (item as EnqueueOptions) : undefined,
        ENQUEUE_MANY,
      )
      if (!(encoded instanceof Promise)) return encoded
      return encoded.catch((error: unknown) => {
        throw atItem(error, index)
      })
    } catch (error) {
      throw atItem(error, index)
    }
  }

  #encode(
    job: Job<never, unknown>,
    payload: unknown,
    options: EnqueueOptions | undefined,
    place: OptionsPlace,
  ): EncodedJob | Promise<EncodedJob> {
    const text = encodePayload(job, payload, this.#deps.options.maxPayloadBytes)
    if (text instanceof Promise) return text.then((ready) => this.#encodeOptions(job, ready, options, place))
    return this.#encodeOptions(job, text, options, place)
  }

  #encodeOptions(
    job: Job<never, unknown>,
    text: string,
    options: EnqueueOptions | undefined,
    where: OptionsPlace,
  ): EncodedJob {
    const large = largeBytes(text)
    if (!options && large === undefined) return [job.type, '', text, '']
    const { entry, control } = encodeOptions(options ?? {}, job, this.#deps.options.idempotencyTtlMs, where)
    if (large !== undefined) {
      entry.p = large
      control.big = true
    }
    const needsId = control.big || control.in !== undefined || control.on !== undefined || control.k !== undefined
    let place: string | undefined
    if (needsId) {
      place = givenPlace(this.#deps.clock.wallMs())
      control.i = place
    }
    // The id comes first: enqueue.lua writes the instant of acceptance before it.
    const optionsText = place === undefined ? textOf(entry) : textOf({ i: place, ...entry })
    return [job.type, optionsText, text, textOf(control)]
  }

  #join(queue: string, encoded: EncodedJob): Promise<EnqueueResult> {
    const refusal = this.#refusal(1)
    if (refusal) return Promise.reject(refusal)
    let open = this.#open.get(queue)
    if (!open) {
      open = { batches: [this.#newBatch(new EnqueueCall(queue, false))], mostJobs: this.#mostJobs }
      this.#open.set(queue, open)
      this.#scheduleFlush()
    }
    let batch = open.batches.at(-1) as Batch
    if (batch.call.count >= open.mostJobs || batch.call.bytes >= BATCH_BYTES) {
      batch = this.#newBatch(new EnqueueCall(queue, false))
      open.batches.push(batch)
      open.mostJobs = Math.min(BATCH_JOBS, open.mostJobs * 2)
    }
    batch.call.add(encoded)
    this.#pendingJobs++
    this.#pendingSingles++
    const { waiters } = batch
    return new Promise((resolve, reject) => {
      waiters.push({ resolve, reject })
    })
  }

  async #sendMany(call: EnqueueCall): Promise<EnqueueResult[]> {
    const refusal = this.#refusal(call.count)
    if (refusal) throw refusal
    // What was enqueued before goes out before.
    const earlier = this.#open.get(call.queue)
    if (earlier) {
      this.#open.delete(call.queue)
      for (const batch of earlier.batches) this.#dispatch(batch)
    }
    return new Promise((resolve, reject) => {
      this.#pendingJobs += call.count
      this.#dispatch(this.#newBatch(call, { resolve, reject }))
    })
  }

  #refusal(jobs: number): Error | undefined {
    if (this.#isClosed) return new ClosedError('This Moca')
    const { link, options } = this.#deps
    if (link.get() || this.#pendingJobs + jobs <= options.maxPendingJobs) return undefined
    return new EnqueueError(
      'connection_lost',
      `Redis is not connected and ${this.#pendingJobs} enqueues wait already (maxPendingJobs is ${options.maxPendingJobs}). Nothing was sent.`,
      false,
      link.lastError,
    )
  }

  #newBatch(call: EnqueueCall, waiterForAll?: Waiter<EnqueueResult[]>): Batch {
    const deadline = this.#deps.clock.monotonicMs() + this.#deps.options.enqueueTimeoutMs
    return { call, waiters: [], waiterForAll, isSent: false, isSettled: false, deadline }
  }

  #scheduleFlush(): void {
    if (this.#isFlushScheduled) return
    this.#isFlushScheduled = true
    setImmediate(this.#flush)
  }

  /** One batch of each queue: the next goes a turn later, when Redis has begun with this one. */
  readonly #flush = (): void => {
    this.#isFlushScheduled = false
    for (const [queue, { batches }] of this.#open) {
      this.#dispatch(batches.shift() as Batch)
      if (batches.length === 0) this.#open.delete(queue)
    }
    if (this.#open.size > 0) this.#scheduleFlush()
    this.#mostJobs = Math.min(BATCH_JOBS, Math.max(LEAST_BATCH_JOBS, Math.ceil(this.#pendingSingles / 2)))
  }

  #dispatch(batch: Batch): void {
    const settling = this.#sendInTime(batch).finally(() => this.#underWay.delete(settling))
    this.#underWay.add(settling)
  }

  async #sendInTime(batch: Batch): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<void>((resolve) => {
      const expire = () => {
        this.#expire(batch)
        resolve()
      }
      timer = setTimeout(expire, batch.deadline - this.#deps.clock.monotonicMs())
    })
    try {
      await Promise.race([this.#send(batch), late])
    } catch (error) {
      this.#rejectAll(batch, explainFailure(error, 'enqueue', batch.isSent))
    } finally {
      clearTimeout(timer)
    }
  }

  async #send(batch: Batch): Promise<void> {
    const { clock, link, counts, options } = this.#deps
    const { call } = batch
    const args = call.arguments(options.maxWaiting[call.queue])
    while (!batch.isSettled) {
      const open = link.get() ?? (await link.ready(Math.max(1, batch.deadline - clock.monotonicMs())))
      if (batch.isSettled) return
      batch.isSent = true
      try {
        const reply = await open.connection.run<EnqueueReply>(loadScripts().enqueue, open.prefix, args)
        const isKnown = counts.confirm(open, call.queue, reply[0], Number(reply[1]))
        this.#settle(batch, reply)
        if (!isKnown) open.destroy()
        return
      } catch (error) {
        if (!wasRefusedUnapplied(error)) throw error
        batch.isSent = false
        if (!mustReopen(error)) throw error
        open.destroy()
        await open.closed // by now the link has let go of it
      }
    }
  }

  #settle(batch: Batch, reply: EnqueueReply): void {
    if (!this.#end(batch)) return
    const { call, waiters, waiterForAll } = batch
    const results = call.results(reply)
    const full = () => new QueueFullError(call.queue, this.#deps.options.maxWaiting[call.queue] ?? 0)
    if (waiterForAll) {
      if (results.includes(undefined)) waiterForAll.reject(full())
      else waiterForAll.resolve(results as EnqueueResult[])
      return
    }
    for (const [index, waiter] of waiters.entries()) {
      const result = results[index]
      if (result) waiter.resolve(result)
      else waiter.reject(full())
    }
  }

  #expire(batch: Batch): void {
    const { link, options } = this.#deps
    const sent = batch.isSent
    const state = sent ? 'was sent and not answered' : 'could not be sent: Redis is not connected'
    this.#rejectAll(
      batch,
      new EnqueueError(
        'enqueue_timeout',
        `The enqueue ${state} within ${options.enqueueTimeoutMs} ms (enqueueTimeout).`,
        sent,
        link.lastError,
      ),
    )
  }

  #rejectAll(batch: Batch, error: Error): void {
    if (!this.#end(batch)) return
    batch.waiterForAll?.reject(error)
    for (const waiter of batch.waiters) waiter.reject(error)
  }

  /** Ends a batch; false when it had ended. */
  #end(batch: Batch): boolean {
    if (batch.isSettled) return false
    batch.isSettled = true
    this.#pendingJobs -= batch.call.count
    this.#pendingSingles -= batch.waiters.length
    return true
  }
}

/** Tells which of many items was refused: `items[3]: ...`, and the fact `index`. */
function atItem(error: unknown, index: number): unknown {
  if (!(error instanceof MocaError)) return error
  error.message = `items[${index}]: ${error.message}`
  Object.assign(error, { facts: Object.freeze({ ...error.facts, index }) })
  return error
}

function hasOptions(item: object): boolean {
  for (const name in item) if (name !== 'payload') return true
  return false
}

function textOf(object: object): string {
  const text = JSON.stringify(object)
  return text === '{}' ? '' : text
}
