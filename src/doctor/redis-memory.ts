import type { ServerFacts } from '../redis/server-facts.ts'
import { type Diagnosis, problem } from './diagnosis.ts'

const FULL = 0.9

/** Whether Redis has room. A server that would evict keys is refused when the connection is opened. */
export function checkMemory({ usedBytes, maxBytes }: ServerFacts): Diagnosis[] {
  if (maxBytes === 0 || usedBytes < maxBytes * FULL) return []
  const share = Math.round((usedBytes / maxBytes) * 100)
  return [
    problem(
      `Redis uses ${share} % of its maxmemory: when it is full, jobs are refused.`,
      'Raise maxmemory, add workers, or bound queues by maxWaiting.',
    ),
  ]
}
