import type { Scenario } from '../scenario.ts'
import { clockOff } from './scenarios/clock-off.ts'
import { emptyRedis } from './scenarios/empty-redis.ts'
import { freezeRelays } from './scenarios/freeze-relays.ts'
import { freshTable } from './scenarios/fresh-table.ts'
import { killAtCommand } from './scenarios/kill-at-command.ts'
import { killRelays } from './scenarios/kill-relays.ts'
import { lateCommit } from './scenarios/late-commit.ts'
import { oddEvents } from './scenarios/odd-events.ts'
import { postgresOlder } from './scenarios/postgres-older.ts'
import { redisOlder } from './scenarios/redis-older.ts'
import { redisOutage } from './scenarios/redis-outage.ts'
import { terminateSessions } from './scenarios/terminate-sessions.ts'
import type { OutboxCounts } from './verdict.ts'

/** All of them, in the order of the page. */
export const OUTBOX_SCENARIOS: readonly Scenario<OutboxCounts>[] = [
  killRelays,
  killAtCommand,
  freezeRelays,
  freshTable,
  clockOff,
  terminateSessions,
  redisOutage,
  emptyRedis,
  redisOlder,
  postgresOlder,
  lateCommit,
  oddEvents,
]
