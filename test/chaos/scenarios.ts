import type { Scenario } from './scenario.ts'
import { blockEventLoop } from './scenarios/block-event-loop.ts'
import { cutNetwork } from './scenarios/cut-network.ts'
import { endKeeper } from './scenarios/end-keeper.ts'
import { forgetAll } from './scenarios/forget-all.ts'
import { freezeWorkers } from './scenarios/freeze-workers.ts'
import { killConnections } from './scenarios/kill-connections.ts'
import { killWorkers } from './scenarios/kill-workers.ts'
import { mixedLeases } from './scenarios/mixed-leases.ts'
import { restartRedisAlways, restartRedisEverysec, restartRedisOlder } from './scenarios/restart-redis.ts'
import { stopCommand } from './scenarios/stop-command.ts'
import { stopWorkers } from './scenarios/stop-workers.ts'

/** All of them, in the order of the page. */
export const SCENARIOS: readonly Scenario[] = [
  killWorkers,
  mixedLeases,
  freezeWorkers,
  blockEventLoop,
  stopWorkers,
  stopCommand,
  endKeeper,
  killConnections,
  cutNetwork,
  restartRedisAlways,
  restartRedisEverysec,
  restartRedisOlder,
  forgetAll,
]
