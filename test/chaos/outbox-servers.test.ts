import { test } from 'node:test'
import { holds } from './holds.ts'
import { emptyRedis } from './outbox/scenarios/empty-redis.ts'
import { lateCommit } from './outbox/scenarios/late-commit.ts'
import { oddEvents } from './outbox/scenarios/odd-events.ts'
import { postgresOlder } from './outbox/scenarios/postgres-older.ts'
import { redisOlder } from './outbox/scenarios/redis-older.ts'
import { redisOutage } from './outbox/scenarios/redis-outage.ts'

test('what is recorded while Redis is away comes when it is back', () => holds(redisOutage))
test('what Redis forgot is sent again from the log', () => holds(emptyRedis))
test('what commits late comes, and nobody waits for it', () => holds(lateCommit))
test('what an older Redis does not know is sent again from the log', () => holds(redisOlder))
test('an older PostgreSQL stops exactly the lanes that know less than Redis, until it is accepted', () =>
  holds(postgresOlder))
test('odd events are refused or park their key, and nobody else waits', () => holds(oddEvents))
