import type { Scenario } from './scenario.ts'
import { drainAtConcurrency1, drainAtConcurrency100 } from './scenarios/drain.ts'
import { dueAtOnce } from './scenarios/due-at-once.ts'
import { enqueueInBulk, enqueueSingly } from './scenarios/enqueue.ts'
import { latency } from './scenarios/latency.ts'
import { memory } from './scenarios/memory.ts'
import { steadyState } from './scenarios/steady-state.ts'

/** In the order of the tables. */
export const scenarios: readonly Scenario[] = [
  drainAtConcurrency100,
  drainAtConcurrency1,
  steadyState,
  enqueueInBulk,
  enqueueSingly,
  latency,
  dueAtOnce,
  memory,
]
