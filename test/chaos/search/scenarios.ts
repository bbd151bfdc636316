import type { Scenario } from '../scenario.ts'
import { freezeSync } from './scenarios/freeze-sync.ts'
import { freezeSyncAtSubmission } from './scenarios/freeze-sync-at-submission.ts'
import { interruptSwap } from './scenarios/interrupt-swap.ts'
import { killAtNote } from './scenarios/kill-at-note.ts'
import { killRebuild } from './scenarios/kill-rebuild.ts'
import { killRebuildAtStatement } from './scenarios/kill-rebuild-at-statement.ts'
import { killSync } from './scenarios/kill-sync.ts'
import { killSyncAtStatement } from './scenarios/kill-sync-at-statement.ts'
import { terminateSearchSessions } from './scenarios/terminate-search-sessions.ts'
import type { SearchCounts } from './verdict.ts'

/** All of them, in the order of the page. */
export const SEARCH_SCENARIOS: readonly Scenario<SearchCounts>[] = [
  killSync,
  killSyncAtStatement,
  freezeSync,
  freezeSyncAtSubmission,
  killRebuild,
  killRebuildAtStatement,
  interruptSwap,
  killAtNote,
  terminateSearchSessions,
]
