import type { Clock } from '../clock.ts'
import { ClosedError, ConnectionError, EnqueueError, MocaError, QueueFullError } from '../errors.ts'
import type { Job } from '../job/job.ts'
import { formatJobId, givenPlace, requireQueueName } from '../job/job-id.ts'
import { encodePayload } from '../job/payload.ts'
import type { Link } from '../redis/link.ts'
import { type EnqueueOptions, encodeOptions } from './enqueue-options.ts'
import { LARGE_PAYLOAD_BYTES } from './entry.ts'
import type { LossDetector } from './loss-detector.ts'
import type { NamespaceConnection } from './namespace.ts'
import { asLayoutError, mustReopen } from './namespace.ts'
import { loadScripts } from './scripts.ts'

/** At most so many jobs, or bytes, go into one script: it holds up everybody else while it runs. */
const BATCH_JOBS = 1_000
const BATCH_BYTES = 8 * 1024 * 1024
/**
 * Single enqueues of one turn go out when so many have joined, then twice as many, and so on: Redis works on the first while this
 * process still makes the others, and many still share a script.
 */
const FIRST_BATCH_JOBS = 32

export interface EnqueueResult {
  readonly id: string
  /** `duplicate`: a job with this idempotency key was accepted before; `id` is its id. */
  readonly status: 'enqueued' | 'duplicate'
}

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
  readonly losses: LossDetector
  readonly clock: Clock
  readonly options: ProducerOptions
}

/** A job ready for enqueue.lua: type, options, payload, control. */
type Encoded = readonly [type: string, options: string, payload: string, control: string]

interface Waiter<T> {
  readonly resolve: (result: T) => void
  readonly reject: (error: Error) => void
}

/** Jobs that go out in one script, with whoever waits for each. */
interface Batch {
  readonly queue: string
  readonly isAtomic: boolean
  readonly jobs: Encoded[]
  /** Somebody for each job, in order; or one for all of them. */
  readonly waiters: Waiter<EnqueueResult>[]
  readonly waiterForAll: Waiter<EnqueueResult[]> | undefined
  bytes: number
  isSent: boolean
  isSettled: boolean
  readonly deadline: number
}

/**
 * Accepts jobs. Single enqueues of one turn of the event loop share a script (a round trip costs twenty times what a job costs).
 * Every enqueue settles within `enqueueTimeoutMs`: accepted, or an error that says whether it may have been applied all the same.
 */
export class Producer {
  readonly #deps: ProducerDeps
  readonly #open = new Map<string, Batch>()
  readonly #underWay = new Set<Promise<void>>()
  #isFlushScheduled = false
  #batchJobs = FIRST_BATCH_JOBS
  #pendingJobs = 0
  #isClosed = false

  constructor(deps: ProducerDeps) {
    this.#deps = deps
  }

  /** Enqueues one job. Rejects with PayloadError, OptionError, QueueFullError or EnqueueError. */
  enqueue<Input>(
    job: Job<Input, unknown>,
    payload: Input,
    options?: EnqueueOptions & { queue?: string },
  ): Promise<EnqueueResult> {
    try {
      const queue = options?.queue === undefined ? job.queue : requireQueueName(options.queue)
      const encoded = this.#encode(job as unknown as Job<never, unknown>, payload, options)
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
    const queue = options.queue === undefined ? job.queue : requireQueueName(options.queue)
    const encoded: Encoded[] = []
    for (const item of items) {
      const ready = this.#encode(
        job as unknown as Job<never, unknown>,
        item.payload,
        hasOptions(item) ? item : undefined,
      )
      encoded.push(ready instanceof Promise ? await ready : ready)
    }
    const results: EnqueueResult[] = []
    const sending: Promise<EnqueueResult[]>[] = []
    const settleFirst = async () => {
      const first = sending.shift()
      if (first) results.push(...(await first))
    }
    try {
      for (const part of parts(encoded)) {
        const sent = this.#sendMany(queue, part)
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
    this.#flush()
    while (this.#underWay.size > 0) await Promise.all(this.#underWay)
  }

  #encode(job: Job<never, unknown>, payload: unknown, options: EnqueueOptions | undefined): Encoded | Promise<Encoded> {
    const text = encodePayload(job, payload, this.#deps.options.maxPayloadBytes)
    if (text instanceof Promise) return text.then((ready) => this.#encodeOptions(job, ready, options))
    return this.#encodeOptions(job, text, options)
  }

  #encodeOptions(job: Job<never, unknown>, text: string, options: EnqueueOptions | undefined): Encoded {
    const isLarge = text.length * 3 > LARGE_PAYLOAD_BYTES && Buffer.byteLength(text) > LARGE_PAYLOAD_BYTES
    if (!options && !isLarge) return [job.type, '', text, '']
    const { entry, control } = encodeOptions(options ?? {}, this.#deps.options.idempotencyTtlMs)
    if (isLarge) {
      entry.p = Buffer.byteLength(text)
      control.big = true
    }
    const needsId = isLarge || control.in !== undefined || control.on !== undefined || control.k !== undefined
    let place: string | undefined
    if (needsId) {
      place = givenPlace(this.#deps.clock.wallMs())
      control.i = place
    }
    // The id comes first: enqueue.lua writes the instant of acceptance before it.
    const optionsText = place === undefined ? textOf(entry) : textOf({ i: place, ...entry })
    return [job.type, optionsText, text, textOf(control)]
  }

  #join(queue: string, encoded: Encoded): Promise<EnqueueResult> {
    const refusal = this.#refusal(1)
    if (refusal) return Promise.reject(refusal)
    let batch = this.#open.get(queue)
    if (!batch || batch.jobs.length >= this.#batchJobs || batch.bytes >= BATCH_BYTES) {
      if (batch) {
        this.#dispatch(batch)
        this.#batchJobs = Math.min(BATCH_JOBS, this.#batchJobs * 2)
      }
      batch = this.#newBatch(queue)
      this.#open.set(queue, batch)
      if (!this.#isFlushScheduled) {
        this.#isFlushScheduled = true
        setImmediate(this.#flush)
      }
    }
    const joined = batch
    return new Promise((resolve, reject) => {
      append(joined, encoded)
      joined.waiters.push({ resolve, reject })
      this.#pendingJobs++
    })
  }

  async #sendMany(queue: string, part: readonly Encoded[]): Promise<EnqueueResult[]> {
    const refusal = this.#refusal(part.length)
    if (refusal) throw refusal
    // What was enqueued before goes out before.
    const earlier = this.#open.get(queue)
    if (earlier) {
      this.#open.delete(queue)
      this.#dispatch(earlier)
    }
    return new Promise((resolve, reject) => {
      const batch = this.#newBatch(queue, { resolve, reject })
      for (const encoded of part) append(batch, encoded)
      this.#pendingJobs += part.length
      this.#dispatch(batch)
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

  #newBatch(queue: string, waiterForAll?: Waiter<EnqueueResult[]>): Batch {
    const deadline = this.#deps.clock.monotonicMs() + this.#deps.options.enqueueTimeoutMs
    const isAtomic = waiterForAll !== undefined
    return { queue, isAtomic, jobs: [], waiters: [], waiterForAll, bytes: 0, isSent: false, isSettled: false, deadline }
  }

  readonly #flush = (): void => {
    this.#isFlushScheduled = false
    this.#batchJobs = FIRST_BATCH_JOBS
    for (const batch of this.#open.values()) this.#dispatch(batch)
    this.#open.clear()
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
      this.#rejectAll(batch, this.#explain(batch, error))
    } finally {
      clearTimeout(timer)
    }
  }

  async #send(batch: Batch): Promise<void> {
    const { clock, link, losses, options } = this.#deps
    const args = argumentsOf(batch, options.maxWaiting[batch.queue])
    while (!batch.isSettled) {
      const open = link.get() ?? (await link.ready(Math.max(1, batch.deadline - clock.monotonicMs())))
      if (batch.isSettled) return
      batch.isSent = true
      try {
        const reply = await open.connection.run<[number, string, ...string[]]>(loadScripts().enqueue, open.prefix, args)
        losses.saw(batch.queue, open.bootId, reply[0], Number(reply[1]))
        this.#settle(batch, reply)
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

  #settle(batch: Batch, reply: readonly (string | number)[]): void {
    if (batch.isSettled) return
    batch.isSettled = true
    this.#pendingJobs -= batch.jobs.length
    const full = () => new QueueFullError(batch.queue, this.#deps.options.maxWaiting[batch.queue] ?? 0)
    if (batch.waiterForAll) {
      const results: EnqueueResult[] = []
      for (let index = 0; index < batch.jobs.length; index++) {
        const result = resultOf(batch.queue, String(reply[index + 2]))
        if (!result) return batch.waiterForAll.reject(full()) // all or none: the first tells
        results.push(result)
      }
      return batch.waiterForAll.resolve(results)
    }
    for (const [index, waiter] of batch.waiters.entries()) {
      const result = resultOf(batch.queue, String(reply[index + 2]))
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

  #explain(batch: Batch, error: unknown): Error {
    const layout = asLayoutError(error)
    if (layout instanceof MocaError && layout.code !== 'connection_lost') return layout
    const message = error instanceof Error ? error.message : String(error)
    if (wasRefusedUnapplied(error)) {
      return new EnqueueError(
        'redis_refused',
        `Redis refused the enqueue: ${message}. Nothing of it was accepted.`,
        false,
        error,
      )
    }
    if (!(error instanceof ConnectionError) && isReply(error)) {
      return new EnqueueError(
        'redis_refused',
        `Redis answered the enqueue with an error: ${message}`,
        batch.isSent,
        error,
      )
    }
    return new EnqueueError(
      'connection_lost',
      `The connection broke before the enqueue was answered: ${message}`,
      batch.isSent,
      error,
    )
  }

  #rejectAll(batch: Batch, error: Error): void {
    if (batch.isSettled) return
    batch.isSettled = true
    this.#pendingJobs -= batch.jobs.length
    batch.waiterForAll?.reject(error)
    for (const waiter of batch.waiters) waiter.reject(error)
  }
}

function append(batch: Batch, encoded: Encoded): void {
  batch.jobs.push(encoded)
  batch.bytes += encoded[1].length + encoded[2].length
}

/** See enqueue.lua. Jobs of one type without options, the most of them, are told by their payloads alone. */
function argumentsOf({ queue, jobs, isAtomic }: Batch, maxWaiting: number | undefined): string[] {
  const type = jobs[0]?.[0]
  const isPlain = jobs.every((job) => job[0] === type && job[1] === '' && job[3] === '')
  const header = {
    q: queue,
    n: jobs.length,
    max: maxWaiting,
    atomic: isAtomic || undefined,
    plain: isPlain ? type : undefined,
  }
  const args = [JSON.stringify(header)]
  for (const job of jobs) {
    if (isPlain) args.push(job[2])
    else args.push(job[0], job[1], job[2], job[3])
  }
  return args
}

/** Undefined: the queue was full. */
function resultOf(queue: string, place: string): EnqueueResult | undefined {
  if (place === 'full') return undefined
  if (place.startsWith('=')) return { id: place.slice(1), status: 'duplicate' }
  return { id: formatJobId(queue, place), status: 'enqueued' }
}

function hasOptions(item: object): boolean {
  for (const name in item) if (name !== 'payload') return true
  return false
}

function* parts(encoded: readonly Encoded[]): Generator<readonly Encoded[]> {
  let from = 0
  let bytes = 0
  for (const [index, job] of encoded.entries()) {
    if (index > from && (index - from >= BATCH_JOBS || bytes + job[2].length > BATCH_BYTES)) {
      yield encoded.slice(from, index)
      from = index
      bytes = 0
    }
    bytes += job[2].length
  }
  if (from < encoded.length) yield encoded.slice(from)
}

function textOf(object: object): string {
  const text = JSON.stringify(object)
  return text === '{}' ? '' : text
}

/** An error that the server sent, as opposed to one of the connection. */
function isReply(error: unknown): boolean {
  return error instanceof Error && /^(ERR|[A-Z]+) /.test(error.message)
}

/** Errors by which the server says that it did nothing at all. */
function wasRefusedUnapplied(error: unknown): boolean {
  return (
    error instanceof Error &&
    /^(OOM|MISCONF|READONLY|LOADING|MASTERDOWN|CLUSTERDOWN|NOAUTH|NOPERM|NOREPLICAS|MOCALAYOUT)|MOCALAYOUT none/.test(
      error.message,
    )
  )
}
