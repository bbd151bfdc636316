/** The thread behind `playMetronome`. */
import { parentPort, workerData } from 'node:worker_threads'
import { monotonicMs } from '../clock.ts'
import type { MetronomeOptions } from './metronome.ts'

const { firstAtMs, intervalMs, beats } = workerData as MetronomeOptions
const nobodyWakes = new Int32Array(new SharedArrayBuffer(4))
// The kernel wakes a sleeper some 50 to 100 us late; the rest is spent spinning, a tenth of a core at 1,000 beats/s.
const spinMs = 0.1

for (let n = 0; n < beats; n++) {
  const dueAtMs = firstAtMs + n * intervalMs
  const sleepMs = dueAtMs - spinMs - monotonicMs()
  if (sleepMs > 0) Atomics.wait(nobodyWakes, 0, 0, sleepMs)
  while (monotonicMs() < dueAtMs);
  parentPort?.postMessage(n)
}
