import { test } from 'node:test'
import { holds } from './holds.ts'
import { clockOff } from './outbox/scenarios/clock-off.ts'
import { freezeRelays } from './outbox/scenarios/freeze-relays.ts'
import { freshTable } from './outbox/scenarios/fresh-table.ts'
import { killAtCommand } from './outbox/scenarios/kill-at-command.ts'
import { killRelays } from './outbox/scenarios/kill-relays.ts'
import { terminateSessions } from './outbox/scenarios/terminate-sessions.ts'

test('what was recorded outlives killed relays, in order', () => holds(killRelays))
test('a relay that stood still past its lease brings nothing twice out of order', () => holds(freezeRelays))
test('relays go on when PostgreSQL ends their sessions', () => holds(terminateSessions))
test('a relay may die at any command that it sends, before it and after it', () => holds(killAtCommand))
test('two relays that start at once on a fresh log share it', () => holds(freshTable))
test("a relay's clock may be an hour off", () => holds(clockOff))
