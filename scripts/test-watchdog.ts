import { after } from 'node:test'
import { isMainThread } from 'node:worker_threads'

// Loaded into every test file by scripts/test.ts. Node waits for ever for a file whose tests are done and that still has
// something open; here such a file fails instead, and says what it left behind.

const AFTER_LAST_TEST_MS = 10_000

// Threads and forked processes of a test inherit the option that loads this module; they are the test's own business.
const isTestFile = isMainThread && (process.argv[1] ?? '').endsWith('.test.ts')
const limitMs = Number(process.env.MOCA_TEST_FILE_LIMIT_MS)

if (isTestFile) {
  setTimeout(() => giveUp(`not done after ${limitMs} ms`), limitMs).unref()
  after(() => {
    setTimeout(() => giveUp('its tests are done, but it does not end'), AFTER_LAST_TEST_MS).unref()
  })
}

function giveUp(reason: string): never {
  console.error(`${process.argv[1]}: ${reason}; still open: ${process.getActiveResourcesInfo().join(', ')}`)
  process.exit(1)
}
