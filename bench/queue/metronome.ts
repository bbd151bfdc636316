import { Worker } from 'node:worker_threads'

export interface MetronomeOptions {
  /** By the monotonic clock. */
  readonly firstAtMs: number
  readonly intervalMs: number
  readonly beats: number
}

/**
 * Calls `onBeat(n)` at firstAtMs + n * intervalMs, from a thread that only keeps the time: timers of Node are whole
 * milliseconds and wait for the event loop. Like a request from outside, a beat that finds the event loop busy is late
 * but never left out. Resolves after the last.
 */
export function playMetronome(options: MetronomeOptions, onBeat: (n: number) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const thread = new Worker(new URL('./metronome-thread.ts', import.meta.url), { workerData: options })
    thread.on('message', onBeat)
    thread.on('error', reject)
    thread.on('exit', () => resolve())
  })
}
