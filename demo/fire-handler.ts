import { handle, type JobHandler } from '../src/index.ts'
import type { FireLedger } from './fire-ledger.ts'
import { tick } from './jobs.ts'
import { monotonicUs } from './monotonic.ts'

/** Writes down which instant of which schedule it is for. */
export function makeFireHandler(ledger: FireLedger): JobHandler {
  return handle(tick, async ({ job }) => {
    const { id, queue, schedule } = job
    await ledger.append({
      schedule: schedule?.name ?? 'none',
      instantMs: schedule?.scheduledFor.getTime() ?? 0,
      id,
      queue,
      pid: process.pid,
      us: monotonicUs(),
      outcome: 'succeeded',
    })
  })
}
