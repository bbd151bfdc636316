import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { startRedis } from '../support/redis-server.ts'
import { failCallsWith, STEPS, walkWith } from './catch-mutations.ts'
import { MUTATIONS } from './mutations.ts'

const redis = await startRedis()
after(() => redis.stop())

test(`the scripts as they are pass the ${STEPS.toLocaleString('en')} steps that catch the planted faults`, async () => {
  assert.equal((await walkWith(redis.url))?.message, undefined)
})

for (const mutation of MUTATIONS) {
  test(`catches a planted fault. ${mutation.name}`, async (t) => {
    const violation = mutation.showsOnFailure ? await failCallsWith(mutation) : await walkWith(redis.url, mutation)
    assert.ok(violation, 'nothing was found')
    t.diagnostic(`caught by: ${violation.invariant}`)
  })
}
