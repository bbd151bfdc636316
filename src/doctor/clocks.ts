import { type Diagnosis, note, problem } from './diagnosis.ts'

const NOTABLE_MS = 1_000
const WRONG_MS = 10_000

/** Whether the clocks of this machine and a server agree. `offsetMs`: how far the server's is ahead. */
export function checkClock(server: 'Redis' | 'PostgreSQL', offsetMs: number): Diagnosis[] {
  const difference = Math.abs(offsetMs)
  if (difference < NOTABLE_MS) return []
  const found = `The clock of ${server} is ${(difference / 1000).toFixed(1)} s ${offsetMs > 0 ? 'ahead of' : 'behind'} this machine's.`
  const fix = 'Let both machines take their time from one source (NTP): runAt and expiresIn go by both.'
  return [difference < WRONG_MS ? note(found, fix) : problem(found, fix)]
}
