import { Worker as Thread } from 'node:worker_threads'
import { ClosedError } from '../../errors.ts'
import type { Logger } from '../../logger.ts'
import type { FromKeeper, KeeperData, StreamRef, ToKeeper } from './keeper-protocol.ts'

export interface KeeperDeps {
  readonly data: Omit<KeeperData, 'vitals' | 'clock'>
  readonly log: Logger
  readonly onLost: (slots: readonly { slot: number; entry: string }[]) => void
  readonly onReturned: (count: number) => void
}

const RESTART_MS = 200

/** The main thread's side of the keeper (keeper-thread.ts): starts the thread, tells it what it must know, starts it again when it dies. */
export class Keeper {
  readonly #deps: KeeperDeps
  readonly #vitals = new SharedArrayBuffer(3 * 8)
  readonly #vitalsView = new Float64Array(this.#vitals)
  #thread: Thread | undefined
  #isStopping = false
  #restart: NodeJS.Timeout | undefined
  #streams: readonly StreamRef[] = []
  #consumer: string | undefined
  #ended: Promise<void> = Promise.resolve()

  constructor(deps: KeeperDeps) {
    this.#deps = deps
  }

  /** Monotonic ms of the latest successful renewal; 0 = none yet. */
  get renewedAtMs(): number {
    return this.#vitalsView[0] as number
  }

  /** The highest instant of the server's clock that this process was told, ms: what the keeper opens is to go on above it. */
  setSeen(ms: number): void {
    this.#vitalsView[2] = ms
  }

  /** Resolves when leases are kept: not before may anything be fetched. Rejects when the signal aborts first. */
  start(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      signal.addEventListener('abort', () => reject(new ClosedError('The worker')), { once: true })
      this.#spawn(resolve)
    })
  }

  setConsumer(consumer: string): void {
    this.#consumer = consumer
    this.#send({ kind: 'session', consumer })
  }

  setStreams(streams: readonly StreamRef[]): void {
    this.#streams = streams
    this.#send({ kind: 'streams', streams })
  }

  async stop(): Promise<void> {
    this.#isStopping = true
    clearTimeout(this.#restart)
    this.#send({ kind: 'stop' })
    const thread = this.#thread
    const timer = setTimeout(() => void thread?.terminate(), 2_000)
    await this.#ended
    clearTimeout(timer)
  }

  #send(message: ToKeeper): void {
    this.#thread?.postMessage(message)
  }

  #spawn(onReady: () => void): void {
    const file = import.meta.url.endsWith('.ts') ? './keeper-thread.ts' : './keeper-thread.js'
    const hrtimeMs = Number(process.hrtime.bigint() / 1000n) / 1000
    const clock = { monotonicMs: performance.now(), hrtimeMs }
    const thread = new Thread(new URL(file, import.meta.url), {
      workerData: { ...this.#deps.data, vitals: this.#vitals, clock } satisfies KeeperData,
      name: 'moca-keeper',
    })
    this.#thread = thread
    if (this.#consumer !== undefined) this.#send({ kind: 'session', consumer: this.#consumer })
    this.#send({ kind: 'streams', streams: this.#streams })
    thread.on('message', (message: FromKeeper) => this.#receive(message, onReady))
    thread.on('error', (error) => this.#deps.log.error({ reason: error.message }, "The keeper's thread failed"))
    this.#ended = new Promise((resolve) => {
      thread.once('exit', () => {
        resolve()
        if (this.#isStopping) return
        this.#deps.log.error({}, "The keeper's thread ended; starting another")
        this.#restart = setTimeout(() => this.#spawn(onReady), RESTART_MS)
      })
    })
  }

  #receive(message: FromKeeper, onReady: () => void): void {
    if (message.kind === 'ready') onReady()
    else if (message.kind === 'lost') this.#deps.onLost(message.slots)
    else if (message.kind === 'returned') this.#deps.onReturned(message.count)
    else this.#deps.log[message.level](message.facts, message.message)
  }
}
