import type { Scenario } from '../scenario.ts'
import { freezeSchedulers } from './scenarios/freeze-schedulers.ts'
import { jumpClocks } from './scenarios/jump-clocks.ts'
import { killSchedulers } from './scenarios/kill-schedulers.ts'
import { olderRedis, restartRedis } from './scenarios/restart-redis.ts'
import { stopSchedulers } from './scenarios/stop-schedulers.ts'
import type { SchedulerCounts } from './verdict.ts'

/** All of them, in the order of the page. */
export const SCHEDULER_SCENARIOS: readonly Scenario<SchedulerCounts>[] = [
  killSchedulers,
  freezeSchedulers,
  stopSchedulers,
  jumpClocks,
  restartRedis,
  olderRedis,
]
