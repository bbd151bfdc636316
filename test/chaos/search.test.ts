import { test } from 'node:test'
import { holds } from './holds.ts'
import { freezeSync } from './search/scenarios/freeze-sync.ts'
import { interruptSwap } from './search/scenarios/interrupt-swap.ts'
import { killRebuild } from './search/scenarios/kill-rebuild.ts'
import { killRebuildAtStatement } from './search/scenarios/kill-rebuild-at-statement.ts'
import { killSync } from './search/scenarios/kill-sync.ts'
import { killSyncAtStatement } from './search/scenarios/kill-sync-at-statement.ts'
import { terminateSearchSessions } from './search/scenarios/terminate-search-sessions.ts'

test('an index is as its tables are, however often who keeps it is killed', () => holds(killSync))
test('who keeps an index may be killed at any statement', () => holds(killSyncAtStatement))
test('who kept an index and stood still past its lease changes nothing any more', () => holds(freezeSync))
test('a rebuild that is killed goes on, and no change is lost', () => holds(killRebuild))
test('a rebuild may be killed at any statement, those of the swap too', () => holds(killRebuildAtStatement))
test('a swap may be interrupted at any statement', () => holds(interruptSwap))
test('search sync goes on by itself when its sessions are terminated', () => holds(terminateSearchSessions))
