import { test } from 'node:test'
import { holds } from './holds.ts'
import { freezeSyncAtSubmission } from './search/scenarios/freeze-sync-at-submission.ts'
import { killAtNote } from './search/scenarios/kill-at-note.ts'

test('what a keeper had read and submits after another one took the index is refused by the engine', () =>
  holds(freezeSyncAtSubmission))
test('search sync and rebuilds may be killed before and after any note that they write', () => holds(killAtNote))
