import { setTimeout as sleep } from 'node:timers/promises'
import { type EnqueueOptions, EnqueueError, type Job, type Moca } from '../../src/index.ts'
import { type ChaosPayload, long, work } from './jobs.ts'
import type { Expectation, JournalEntry } from './journal.ts'
import { monotonicUs } from './ledger.ts'
import type { Random } from './random.ts'

export interface LoadOptions {
  readonly moca: Moca
  readonly random: Random
  readonly leaseMs: number
  /** So many jobs wait or run at most; the others follow as these end. */
  readonly outstanding: number
  /** Longest run of an ordinary job. */
  readonly longestMs: number
  /** Share of jobs that run for several leases. */
  readonly longShare: number
  /**
   * Where Redis goes away: calls carry an idempotency key and are repeated until they are answered, as a careful
   * application does. Else an error of a call fails the run.
   */
  readonly isPersistent: boolean
}

interface Plan extends EnqueueOptions {
  readonly job: Job<ChaosPayload>
  readonly ms: number
  readonly failures?: number
  readonly expects?: Expectation
  readonly filler?: number
  readonly waitMs?: number
}

const KEYS = 24
/** More long jobs than this at a time would only wait for each other. */
const LONG_MOST = 6

/** Enqueues jobs of all kinds and keeps the journal of what it was told. */
export class Load {
  readonly journal: JournalEntry[] = []
  readonly #options: LoadOptions
  readonly #open = new Set<string>()
  readonly #openLong = new Set<string>()
  readonly #calls = new Set<Promise<void>>()
  /** The last call of each key: the next one waits for it, so that the order of acceptance is known. */
  readonly #ofKey = new Map<string, Promise<void>>()
  #failure: Error | undefined
  #repeated = 0

  constructor(options: LoadOptions) {
    this.#options = options
  }

  /** Jobs that take up room: accepted or under way, and not seen to end. */
  get outstanding(): readonly JournalEntry[] {
    return this.journal.filter(({ name }) => this.#open.has(name))
  }

  /** Calls that were answered. */
  get answered(): number {
    return this.journal.filter(({ id }) => id !== undefined).length
  }

  /** Calls that got no answer and were made again. */
  get repeated(): number {
    return this.#repeated
  }

  /** A run of this job ended for good. */
  ended(name: string): void {
    this.#open.delete(name)
    this.#openLong.delete(name)
  }

  /**
   * Redis came back without what was accepted after this instant (the earliest that it may have forgotten): nobody waits for these,
   * or they would take up room for ever. Some may be there all the same, accepted after Redis came back: then there are a few more.
   */
  forget(sinceUs: number): void {
    for (const { name, toUs } of this.journal) if (toUs !== undefined && toUs >= sinceUs) this.ended(name)
  }

  /** Keeps the queue filled until the signal aborts; resolves when every call is answered. */
  async run(signal: AbortSignal, look: () => void): Promise<void> {
    while (!signal.aborted && this.#failure === undefined) {
      look()
      for (let room = this.#options.outstanding - this.#open.size; room > 0; room--) this.enqueue(this.#plan())
      await sleep(15) // the pace of the load
    }
    await this.settled()
  }

  async settled(): Promise<void> {
    while (this.#calls.size > 0) await Promise.all(this.#calls)
    if (this.#failure !== undefined) throw this.#failure
  }

  /** Begins one enqueue. */
  enqueue(plan: Plan): JournalEntry {
    const entry: JournalEntry = {
      name: `j${this.journal.length}`,
      queue: plan.job.queue,
      key: plan.key,
      expects: plan.expects ?? 'succeeds',
      fromUs: monotonicUs(),
      toUs: undefined,
      id: undefined,
      position: this.journal.length,
    }
    this.journal.push(entry)
    // Those that never succeed would take up room for ever.
    if (entry.expects === 'succeeds') this.#open.add(entry.name)
    if (plan.job === long) this.#openLong.add(entry.name)
    const before = plan.key === undefined ? undefined : this.#ofKey.get(plan.key)
    const call = (before ?? Promise.resolve())
      .then(() => this.#call(entry, plan))
      .catch((error: unknown) => {
        this.#failure ??= error as Error
      })
    if (plan.key !== undefined) this.#ofKey.set(plan.key, call)
    this.#calls.add(call)
    void call.finally(() => this.#calls.delete(call))
    return entry
  }

  async #call(entry: JournalEntry, plan: Plan): Promise<void> {
    const { moca, isPersistent } = this.#options
    const { job, ms, failures = 0, expects: _, filler, waitMs, ...options } = plan
    const payload = {
      name: entry.name,
      ms,
      failures,
      ...(waitMs === undefined ? {} : { waitMs }),
      ...(filler ? { filler: 'x'.repeat(filler) } : {}),
    }
    const all = isPersistent ? { ...options, idempotencyKey: entry.name } : options
    for (;;) {
      try {
        entry.id = (await moca.queue.enqueue(job, payload, all)).id
        entry.toUs = monotonicUs()
        return
      } catch (error) {
        if (!isPersistent || !(error instanceof EnqueueError)) throw error
        this.#repeated++
        await sleep(50) // an application's back-off
      }
    }
  }

  #plan(): Plan {
    const { random, leaseMs, longestMs, longShare } = this.#options
    const ms = Math.round(random.between(2, longestMs))
    const kind = random.next()
    if (kind < longShare && this.#openLong.size < LONG_MOST)
      return { job: long, ms: Math.round(leaseMs * random.between(1.5, 3)) }
    if (kind < 0.2) return { job: work, ms, key: `k${random.whole(1, KEYS)}`, failures: random.chance(0.15) ? 1 : 0 }
    if (kind < 0.3) return { job: work, ms, delay: random.whole(20, 1_500) }
    if (kind < 0.33) return { job: work, ms, delay: random.whole(20, 500), failures: 1 }
    if (kind < 0.41) return { job: work, ms, failures: random.whole(1, 3) }
    if (kind < 0.42) return { job: work, ms, failures: 9, attempts: 2, expects: 'fails' }
    if (kind < 0.45) return { job: work, ms, filler: 20_000 }
    return { job: work, ms }
  }
}
