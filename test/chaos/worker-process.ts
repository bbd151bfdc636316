import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import type { Worker as Thread } from 'node:worker_threads'
import pino from 'pino'
import {
  createMoca,
  createWorker,
  handle,
  type HandlerContext,
  type WorkerHealth,
  type WorkerInput,
} from '../../src/index.ts'
import { block, type ChaosPayload, gate, long, poison, work } from './jobs.ts'
import { Ledger, type LedgerLine, monotonicUs } from './ledger.ts'

// A worker process of the chaos runs: an ordinary program with `createWorker`, whose handlers write their own ledger.

export interface WorkerProcessOptions {
  readonly url: string
  readonly namespace: string
  readonly dir: string
  readonly worker: WorkerInput
  readonly concurrency: number
  readonly replyTimeoutMs: number
}

/** Told by the parent. SIGTERM is sent as a signal. */
export type ToWorkerProcess = { readonly kind: 'end keeper' | 'health' }

export type FromWorkerProcess =
  | { readonly kind: 'ready' }
  | { readonly kind: 'health'; readonly health: WorkerHealth & { readonly threads: number } }
  | { readonly kind: 'stopped'; readonly stale: number; readonly returned: number; readonly stopMs: number }

const options = JSON.parse(process.argv[2] ?? '{}') as WorkerProcessOptions
const ledger = new Ledger(options.dir)
let runs = 0
let stale = 0
let returned = 0
const gates = new Set<() => void>()

// The library keeps its thread to itself; node tells of every thread that is made.
const threads = new Set<Thread>()
process.on('worker', (thread) => {
  threads.add(thread)
  thread.once('exit', () => threads.delete(thread))
})

type Context = HandlerContext<ChaosPayload>
type Note = (kind: LedgerLine['kind'], outcome?: LedgerLine['outcome']) => LedgerLine

function notesOf({ job, payload, fence, attempt }: Context): Note {
  const { id, stalls, releases } = job
  const about = {
    run: ++runs,
    pid: process.pid,
    id,
    name: payload.name,
    fence: String(fence),
    attempt,
    stalls,
    releases,
  }
  return (kind, outcome) => ({ kind, us: monotonicUs(), ...about, ...(outcome ? { outcome } : {}) })
}

function passed(ms: number, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(true), ms)
    signal.addEventListener('abort', () => {
      clearTimeout(timer)
      resolve(false)
    })
  })
}

async function run(context: Context): Promise<void> {
  const { payload, attempt, signal } = context
  const note = notesOf(context)
  await ledger.append(note('start'))
  if (!(await passed(payload.ms, signal))) {
    await ledger.append(note('end', 'aborted'))
    throw signal.reason
  }
  const hasFailed = attempt <= payload.failures
  await ledger.append(note('end', hasFailed ? 'failed' : 'succeeded'))
  if (hasFailed) throw new Error(`attempt ${attempt} of ${payload.failures} that fail`)
}

async function waitAtGate(context: Context): Promise<void> {
  const note = notesOf(context)
  await ledger.append(note('start'))
  await new Promise<void>((resolve) => {
    const open = () => {
      clearTimeout(timer)
      gates.delete(open)
      resolve()
    }
    const timer = setTimeout(open, context.payload.ms)
    gates.add(open)
  })
  ledger.appendSync(note('end', 'succeeded'))
}

async function blockLoop(context: Context): Promise<void> {
  const note = notesOf(context)
  const { ms, waitMs = 0 } = context.payload
  ledger.appendSync(note('start'))
  if (waitMs > 0) await passed(waitMs, context.signal)
  for (const open of gates) open()
  // Their handlers end in the microtasks that follow; their outcomes would leave in the next turn, which does not come.
  for (let turn = 0; turn < 20; turn++) await Promise.resolve()
  const until = performance.now() + ms
  while (performance.now() < until);
  ledger.appendSync(note('end', 'succeeded'))
}

function killProcess(context: Context): Promise<void> {
  ledger.appendSync(notesOf(context)('start'))
  process.kill(process.pid, 'SIGKILL')
  return new Promise(() => {})
}

const logger = pino({ level: 'warn' }, createWriteStream(join(options.dir, `${process.pid}.log`)))
const { url, namespace, replyTimeoutMs } = options
const moca = createMoca({
  namespace,
  redis: { url, replyTimeout: replyTimeoutMs, connectTimeout: replyTimeoutMs },
  logger,
})
const worker = createWorker(moca, {
  ...options.worker,
  handlers: [
    handle(work, run),
    handle(long, run),
    handle(gate, waitAtGate),
    handle(block, blockLoop),
    handle(poison, killProcess),
  ],
  queues: {
    critical: { weight: 6, concurrency: 2 },
    default: { weight: 3, concurrency: options.concurrency },
    long: { weight: 1, concurrency: 3 },
  },
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
  if (message.kind === 'health') void tell({ kind: 'health', health: { ...worker.health(), threads: threads.size } })
  else for (const thread of threads) void thread.terminate()
})
// Whoever started it is gone: nobody would end it.
process.on('disconnect', () => {
  if (!isStopping) process.exit(1)
})

await worker.start()
await tell({ kind: 'ready' })
