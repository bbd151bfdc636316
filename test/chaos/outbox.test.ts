import { test } from 'node:test'
import { holds } from './holds.ts'
import { emptyRedis } from './outbox/scenarios/empty-redis.ts'
import { freezeRelays } from './outbox/scenarios/freeze-relays.ts'
import { killRelays } from './outbox/scenarios/kill-relays.ts'
import { lateCommit } from './outbox/scenarios/late-commit.ts'
import { redisOutage } from './outbox/scenarios/redis-outage.ts'
import { terminateSessions } from './outbox/scenarios/terminate-sessions.ts'

test('what was recorded outlives killed relays, in order', () => holds(killRelays))
test('a relay that stood still past its lease brings nothing twice out of order', () => holds(freezeRelays))
test('relays go on when PostgreSQL ends their sessions', () => holds(terminateSessions))
test('what is recorded while Redis is away comes when it is back', () => holds(redisOutage))
test('what Redis forgot is sent again from the log', () => holds(emptyRedis))
test('what commits late comes, and nobody waits for it', () => holds(lateCommit))
