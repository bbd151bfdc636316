import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import type { Worker as Thread } from 'node:worker_threads'
import pino from 'pino'
import { createMoca, createWorker, type WorkerHealth } from '../../src/index.ts'
import { makeHandlers } from './handlers.ts'
import { Ledger } from './ledger.ts'
import { queuesOf, type WorkerProcessOptions } from './worker-options.ts'

// A worker process of the chaos runs: an ordinary program with `createWorker`, whose handlers write their own ledger.

/** Told by the parent. SIGTERM is sent as a signal. */
export type ToWorkerProcess = { readonly kind: 'end keeper' | 'health' }

export type WorkerProcessHealth = WorkerHealth & {
  /** Threads that live, and how many were ended by order. */
  readonly threads: number
  readonly threadsEnded: number
}

export type FromWorkerProcess =
  | { readonly kind: 'ready' }
  | { readonly kind: 'health'; readonly health: WorkerProcessHealth }
  | { readonly kind: 'stopped'; readonly stale: number; readonly returned: number; readonly stopMs: number }

const options = JSON.parse(process.argv[2] ?? '{}') as WorkerProcessOptions
let stale = 0
let returned = 0
let threadsEnded = 0

// The library keeps its thread to itself; node tells of every thread that is made.
const threads = new Set<Thread>()
process.on('worker', (thread) => {
  threads.add(thread)
  thread.once('exit', () => threads.delete(thread))
})

const logger = pino({ level: 'warn' }, createWriteStream(join(options.dir, `${process.pid}.log`)))
const { url, namespace, replyTimeoutMs } = options
const moca = createMoca({
  namespace,
  redis: { url, replyTimeout: replyTimeoutMs, connectTimeout: replyTimeoutMs },
  logger,
})
const worker = createWorker(moca, {
  ...options.worker,
  handlers: makeHandlers(new Ledger(options.dir), () => worker.health().buffered),
  queues: queuesOf(options),
})
worker.on('stale', () => {
  stale++
})
worker.on('returned', (count) => {
  returned += count
})

function tell(message: FromWorkerProcess): Promise<void> {
  return new Promise((resolve) => {
    if (process.send) process.send(message, () => resolve())
    else resolve()
  })
}

let isStopping = false
process.on('SIGTERM', () => {
  if (isStopping) process.exit(130)
  isStopping = true
  const from = performance.now()
  void worker.stop().then(async () => {
    await moca.close()
    await tell({ kind: 'stopped', stale, returned, stopMs: Math.round(performance.now() - from) })
    process.disconnect()
  })
})
process.on('message', (message: ToWorkerProcess) => {
  if (message.kind === 'health') {
    void tell({ kind: 'health', health: { ...worker.health(), threads: threads.size, threadsEnded } })
    return
  }
  for (const thread of threads) {
    threadsEnded++
    void thread.terminate()
  }
})
// Whoever started it is gone: nobody would end it.
process.on('disconnect', () => {
  if (!isStopping) process.exit(1)
})

await worker.start()
await tell({ kind: 'ready' })
