import { fenceOf } from '../../src/job/job-id.ts'
import type { EnqueuedJob } from './server-model.ts'
import { must } from './violation.ts'

// Everything outside the server: workers with what they remember, the fences that outside systems have seen, and the log of an outbox.
// A server that forgets does not make them forget.

export interface Attempt {
  readonly job: string
  readonly letter: string
  readonly entry: string
  readonly key: string | undefined
  readonly isBig: boolean
  /** The life of the server in which it was read. */
  readonly boot: string
}

export interface ModelWorker {
  name: string
  session: number
  boot: string
  /** False = it must open a session before it does anything else. */
  isConnected: boolean
  /** What it believes to hold, whatever became of it. */
  memory: Attempt[]
  /** What it has settled, for sending it once more. */
  reported: Attempt[]
}

/** A batch as PostgreSQL has it. */
export interface LoggedBatch {
  readonly n: number
  readonly digest: string
  readonly jobs: readonly EnqueuedJob[]
}

/** One lane of an outbox. */
export interface ModelLane {
  /** Of its present owner. */
  epoch: number
  readonly batches: LoggedBatch[]
  /** An operator has set it back: what had ended may come again. */
  isRedriven: boolean
}

export class World {
  workers: ModelWorker[]
  /** The highest fence of each job and key. */
  fences = new Map<string, bigint>()
  lanes = new Map<number, ModelLane>()
  #born = 0

  constructor(workers: number) {
    this.workers = Array.from({ length: workers }, () => this.#newWorker())
  }

  clone(): World {
    const copy = new World(0)
    copy.workers = this.workers.map((worker) => ({
      ...worker,
      memory: [...worker.memory],
      reported: [...worker.reported],
    }))
    copy.fences = new Map(this.fences)
    copy.lanes = new Map([...this.lanes].map(([unit, lane]) => [unit, { ...lane, batches: [...lane.batches] }]))
    copy.#born = this.#born
    return copy
  }

  #newWorker(): ModelWorker {
    return { name: `w${this.#born++}`, session: 0, boot: '', isConnected: false, memory: [], reported: [] }
  }

  /** The process dies; another one takes its place under another name. */
  crash(index: number): void {
    this.workers[index] = this.#newWorker()
  }

  lane(unit: number): ModelLane {
    const lane = this.lanes.get(unit) ?? { epoch: 1, batches: [], isRedriven: false }
    this.lanes.set(unit, lane)
    return lane
  }

  isAlive(consumer: string | undefined): boolean {
    return this.workers.some(({ name }) => consumer?.startsWith(`${name}.`))
  }

  /** A job that may have ended comes again as a new one. Of its key alone fences go on, should the clock be set back. */
  forgetJob(id: string): void {
    this.fences.delete(`job ${id}`)
  }

  /** An attempt begins: its fence must be above all that were ever given for its job, and for its key. */
  begin(worker: ModelWorker, attempt: Attempt): void {
    const fence = fenceOf(attempt.entry, attempt.boot)
    const names = [`job ${attempt.job}`, ...(attempt.key === undefined ? [] : [`key ${attempt.key}`])]
    for (const name of names) {
      const highest = this.fences.get(name) ?? -1n
      must('fences grow', fence > highest, () => {
        return `${name}: the attempt in ${attempt.letter}:${attempt.entry}, boot ${attempt.boot}, has fence ${describeFence(fence)}, an earlier one had ${describeFence(highest)}`
      })
      this.fences.set(name, fence)
    }
    worker.memory.push(attempt)
  }

  settled(worker: ModelWorker, attempt: Attempt): void {
    worker.memory = worker.memory.filter((other) => other !== attempt)
    worker.reported = [...worker.reported.slice(-3), attempt]
  }
}

export function consumerOf({ name, session }: ModelWorker): string {
  return `${name}.${session}`
}

function describeFence(fence: bigint): string {
  return `${fence >> 20n}-${fence & 0xfffffn}`
}
