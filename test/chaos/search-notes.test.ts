import { test } from 'node:test'
import { holds } from './holds.ts'
import { freezeSyncAtSubmission } from './search/scenarios/freeze-sync-at-submission.ts'

test('what a keeper had read and submits after another one took the index is refused by the engine', () =>
  holds(freezeSyncAtSubmission))
