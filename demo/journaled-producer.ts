import { setTimeout as wait } from 'node:timers/promises'
import { EnqueueError, type Job, type Moca, MocaError, PayloadError } from '../src/index.ts'
import type { Journal, PlannedJob } from './journal.ts'
import { monotonicUs } from './monotonic.ts'

export interface Item<Payload> {
  readonly business: string
  readonly payload: Payload
  readonly key?: string
  readonly delayMs?: number
}

const RETRY_FOR_MS = 60_000
const RETRY_EVERY_MS = 150

/**
 * Enqueues, and writes down before and after each call what it was about to do and what came of it. While Redis is away it
 * tries again: every job carries its business name as idempotency key, so a try whose answer was lost is not repeated.
 */
export class JournaledProducer {
  readonly #moca: Moca
  readonly #journal: Journal
  readonly #name: string
  #calls = 0

  constructor(moca: Moca, journal: Journal, name: string) {
    this.#moca = moca
    this.#journal = journal
    this.#name = name
  }

  /** In order. Items that the job's schema refuses are left out, and written down. */
  async enqueueMany<Payload>(job: Job<Payload, unknown>, items: readonly Item<Payload>[]): Promise<void> {
    if (items.length === 0) return
    try {
      await this.#surely(job, items)
    } catch (error) {
      if (!(error instanceof PayloadError)) throw error
      // One bad row refuses the whole call, and nothing of it was sent. One by one tells which it was.
      if (items.length > 1) for (const item of items) await this.enqueueMany(job, [item])
    }
  }

  async #surely<Payload>(job: Job<Payload, unknown>, items: readonly Item<Payload>[]): Promise<void> {
    const until = performance.now() + RETRY_FOR_MS
    for (;;) {
      try {
        await this.#once(job, items)
        return
      } catch (error) {
        if (!(error instanceof MocaError && error.retryable) || performance.now() > until) throw error
      }
      await wait(RETRY_EVERY_MS)
    }
  }

  async #once<Payload>(job: Job<Payload, unknown>, items: readonly Item<Payload>[]): Promise<void> {
    const call = `${this.#name}-${++this.#calls}`
    await this.#journal.append({ kind: 'intent', call, us: monotonicUs(), jobs: items.map((item) => plan(job, item)) })
    const fromUs = monotonicUs()
    try {
      const results = await this.#moca.queue.enqueueMany(job, items.map(toRequest))
      const answer = results.map(({ id, status }) => ({ id, status }))
      await this.#journal.append({ kind: 'answer', call, fromUs, toUs: monotonicUs(), results: answer })
    } catch (error) {
      await this.#writeFailure(call, items.length, error)
      throw error
    }
  }

  async #writeFailure(call: string, jobs: number, error: unknown): Promise<void> {
    const us = monotonicUs()
    if (error instanceof PayloadError && jobs === 1) {
      await this.#journal.append({ kind: 'refusal', call, us, message: error.message })
      return
    }
    const code = error instanceof MocaError ? error.code : 'unknown'
    // What is not known not to have been applied, may have been.
    const wasNotApplied = error instanceof PayloadError || (error instanceof EnqueueError && !error.mayHaveBeenApplied)
    await this.#journal.append({ kind: 'failure', call, us, code, mayHaveBeenApplied: !wasNotApplied })
  }
}

function plan<Payload>(job: Job<Payload, unknown>, item: Item<Payload>): PlannedJob {
  const { business, key, delayMs } = item
  const isDelayed = delayMs !== undefined && delayMs > 0
  return { business, type: job.type, queue: job.queue, ...(key === undefined ? {} : { key }), isDelayed }
}

function toRequest<Payload>({ business, payload, key, delayMs }: Item<Payload>) {
  return {
    payload,
    idempotencyKey: business,
    ...(key === undefined ? {} : { key }),
    ...(delayMs === undefined ? {} : { delay: delayMs }),
  }
}
