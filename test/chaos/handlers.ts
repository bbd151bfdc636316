import { setImmediate as nextTurn } from 'node:timers/promises'
import { handle, type HandlerContext, type JobHandler } from '../../src/index.ts'
import { block, type ChaosPayload, gate, long, poison, work } from './jobs.ts'
import { type Ledger, type LedgerLine, monotonicUs } from './ledger.ts'

type Context = HandlerContext<ChaosPayload>
type Note = (kind: LedgerLine['kind'], outcome?: LedgerLine['outcome']) => LedgerLine

/** A block begins without fetched jobs that wait when none came within so long. */
const WAIT_MS = 2_000
const LEFT_LEAST = 5

/**
 * The handlers of all jobs of the chaos runs; each run is written down in `ledger`. Once per process: they share their gates.
 * `waiting`: how many jobs this process has fetched and not begun.
 */
export function makeHandlers(ledger: Ledger, waiting: () => number = () => Number.POSITIVE_INFINITY): JobHandler[] {
  const gates = new Set<() => void>()
  let runs = 0

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
    const { ms, waitMs } = context.payload
    ledger.appendSync(note('start'))
    const from = performance.now()
    // Each gate that opens lets one of them begin; some are to be left.
    if (waitMs === undefined) {
      while (waiting() < gates.size + LEFT_LEAST && performance.now() - from < WAIT_MS) await nextTurn()
    } else await passed(waitMs, context.signal)
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

  return [
    handle(work, run),
    handle(long, run),
    handle(gate, waitAtGate),
    handle(block, blockLoop),
    handle(poison, killProcess),
  ]
}

function passed(ms: number, signal: AbortSignal): Promise<boolean> {
  if (signal.aborted) return Promise.resolve(false) // while the start was written
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(true), ms)
    signal.addEventListener('abort', () => {
      clearTimeout(timer)
      resolve(false)
    })
  })
}
