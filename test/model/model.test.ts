import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { startRedis } from '../support/redis-server.ts'
import { explore } from './exhaustive.ts'
import { Database } from './namespace-under-test.ts'
import { patchedScripts } from './patched-scripts.ts'
import { runWalks } from './random-walks.ts'

const redis = await startRedis()
const scripts = patchedScripts()
const databases = await Promise.all([0, 1, 2].map((lane) => Database.open(redis.url, lane, scripts)))
after(async () => {
  for (const database of databases) database.close()
  await redis.stop()
})

// The long run of both, and how to replay what it finds: main.ts.

test('30,000 random steps of the scripts on a real server do what the model says', async () => {
  const { steps, found } = await runWalks({ databases, seed: 20_261_124, steps: 30_000 })
  assert.equal(found && `walk ${found.walk}: ${found.violation.message}`, undefined)
  assert.ok(steps >= 30_000)
})

test('every walk of two workers, three jobs and four moves does what the model says', async () => {
  const { moves, found } = await explore({ databases, depth: 4, jobs: 3 })
  assert.equal(found && `${found.violation.message}\n${JSON.stringify(found.steps)}`, undefined)
  assert.ok(moves > 1_000)
})
