import type { Scenario } from '../scenario.ts'
import { emptyRedis } from './scenarios/empty-redis.ts'
import { freezeRelays } from './scenarios/freeze-relays.ts'
import { killRelays } from './scenarios/kill-relays.ts'
import { lateCommit } from './scenarios/late-commit.ts'
import { redisOutage } from './scenarios/redis-outage.ts'
import { terminateSessions } from './scenarios/terminate-sessions.ts'
import type { OutboxCounts } from './verdict.ts'

/** All of them, in the order of the page. */
export const OUTBOX_SCENARIOS: readonly Scenario<OutboxCounts>[] = [
  killRelays,
  freezeRelays,
  terminateSessions,
  redisOutage,
  emptyRedis,
  lateCommit,
]
