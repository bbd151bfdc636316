import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import {
  createMoca,
  createWorker,
  type JobEvent,
  type Moca,
  type MocaOptions,
  type WorkerOptions,
} from '../../src/index.ts'
import type { QueueCounts } from '../../src/queue/inspector/inspector.ts'
import { keyPrefix } from '../../src/queue/keys.ts'
import type { Worker } from '../../src/queue/worker/worker.ts'
import { Connection } from '../../src/redis/connection.ts'
import { waitFor, type WaitForOptions } from './wait-for.ts'

// One namespace on a real server, with an application and its workers, as a user would write them.
//
//   await using bench = openBench(redis)
//   const worker = await bench.startWorker({ handlers: [handle(job, run)] })
//   const { id } = await bench.moca.queue.enqueue(job, payload)
//   await bench.settled(1)
//
// At the end it stops the workers and checks that every accepted job is accounted for.

/** For a test about order: on a busy machine jobs that wait too long behind others are handed back, and come again a little later. */
export const KEEP_ORDER = { concurrency: 1, handBack: '20s' } as const

/** Stops at once: a test has nothing to wait for. */
const QUICK_STOP = { softTimeout: 0, stopTimeout: '2s' } as const

export type Settled = JobEvent & { readonly outcome: string; readonly worker: Worker }

export interface BenchOptions extends Omit<MocaOptions, 'namespace'> {
  /** Default: a new one. */
  readonly namespace?: string
}

export function openBench(server: { readonly url: string }, options: BenchOptions = {}): Workbench {
  return new Workbench(server.url, options)
}

export class Workbench {
  readonly namespace: string
  readonly moca: Moca
  readonly workers: Worker[] = []
  /** What the workers reported, in order. */
  readonly events: Settled[] = []
  readonly stale: JobEvent[] = []
  /** Attempts handed back unstarted. */
  returned = 0
  readonly #url: string
  readonly #mocas: Moca[] = []
  #raw: Promise<Connection> | undefined
  #isBalanced = true

  constructor(url: string, options: BenchOptions) {
    this.#url = url
    this.namespace = options.namespace ?? `test-${randomBytes(6).toString('hex')}`
    this.moca = this.openMoca(options)
  }

  get prefix(): string {
    return keyPrefix(this.namespace)
  }

  /** Another application in the same namespace. */
  openMoca(options: BenchOptions = {}): Moca {
    const moca = createMoca({ redis: { url: this.#url }, ...options, namespace: this.namespace })
    this.#mocas.push(moca)
    return moca
  }

  /** A worker that is not started yet. It counts in `events`, and is stopped at the end. */
  worker(options: WorkerOptions, moca: Moca = this.moca): Worker {
    const worker = createWorker(moca, { ...QUICK_STOP, ...options })
    worker.on('settled', (event) => this.events.push({ ...event, worker }))
    worker.on('stale', (event) => this.stale.push(event))
    worker.on('returned', (count) => {
      this.returned += count
    })
    this.workers.push(worker)
    return worker
  }

  async startWorker(options: WorkerOptions, moca: Moca = this.moca): Promise<Worker> {
    const worker = this.worker(options, moca)
    await worker.start()
    return worker
  }

  /** Resolves when so many outcomes (of a kind) are confirmed; the reports. */
  async settled(count: number, outcome?: string, options: WaitForOptions = {}): Promise<Settled[]> {
    const matching = () => this.events.filter((event) => outcome === undefined || event.outcome === outcome)
    await waitFor(() => matching().length >= count, {
      timeoutMs: 10_000,
      describe: () => `${count} ${outcome ?? 'settled'}; so far ${JSON.stringify(this.#outcomes())}`,
      ...options,
    })
    return matching()
  }

  async counts(queue = 'default'): Promise<QueueCounts> {
    const counts = (await this.moca.queue.counts([queue]))[queue]
    assert.ok(counts)
    return counts
  }

  /** A command; `:` at the beginning of an argument stands for the namespace's prefix. */
  async command<T = unknown>(...args: string[]): Promise<T> {
    this.#raw ??= Connection.open({ url: this.#url }, 'test')
    return (await this.#raw).send<T>(args.map((arg) => (arg.startsWith(':') ? this.prefix + arg.slice(1) : arg)))
  }

  /** Keys of the namespace, without its prefix. */
  async keys(pattern = '*'): Promise<string[]> {
    const keys = await this.command<string[]>('KEYS', `:${pattern}`)
    return keys.map((key) => key.slice(this.prefix.length)).toSorted()
  }

  async stopWorkers(): Promise<void> {
    await Promise.all(this.workers.map((worker) => worker.stop()))
  }

  /** For a test that damages the data on purpose, or takes the server away for good. */
  skipBalance(): void {
    this.#isBalanced = false
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopWorkers()
    try {
      if (this.#isBalanced) await this.#checkBalance()
    } finally {
      await Promise.all(this.#mocas.map((moca) => moca.close()))
      const raw = await this.#raw?.catch(() => undefined)
      raw?.destroy()
    }
  }

  async #checkBalance(): Promise<void> {
    for (const [queue, counts] of Object.entries(await this.moca.queue.counts())) {
      const { accepted, waiting, active, delayed, gated, dead, completed, cancelled, expired, purged } = counts
      assert.equal(
        waiting + active + delayed + gated + dead + completed + cancelled + expired + purged,
        accepted,
        `the jobs of queue ${queue} are not all accounted for: ${JSON.stringify(counts)}`,
      )
    }
  }

  #outcomes(): Record<string, number> {
    const counts: Record<string, number> = {}
    for (const { outcome } of this.events) counts[outcome] = (counts[outcome] ?? 0) + 1
    return counts
  }
}

/** A promise and its resolver, for handlers that wait until the test lets them go on. */
export function gate(): { readonly opened: Promise<void>; readonly open: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>()
  return { opened: promise, open: resolve }
}

/** Keeps the event loop busy. */
export function block(ms: number): void {
  const until = performance.now() + ms
  while (performance.now() < until);
}
