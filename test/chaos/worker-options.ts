import type { QueueInput, WorkerInput } from '../../src/index.ts'

/** What a worker process of the chaos runs is told when it starts. */
export interface WorkerProcessOptions {
  readonly url: string
  readonly namespace: string
  readonly dir: string
  readonly worker: WorkerInput
  readonly concurrency: number
  readonly replyTimeoutMs: number
}

export function queuesOf({ concurrency }: WorkerProcessOptions): Record<string, QueueInput> {
  return {
    critical: { weight: 6, concurrency: 2 },
    default: { weight: 3, concurrency },
    long: { weight: 1, concurrency: 3 },
  }
}
