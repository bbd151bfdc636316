import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { failEachCall } from './failing-calls.ts'
import { FAILING_CASES } from './failing-cases.ts'
import { callSites } from './patched-scripts.ts'
import { ScriptScene } from './script-scene.ts'

const scene = await ScriptScene.open()
after(() => scene[Symbol.asyncDispose]())
const failed = new Set<string>()

for (const failing of FAILING_CASES) {
  test(`no job is lost when a call fails, and the queue goes on. ${failing.name}`, async () => {
    for (const site of await failEachCall(scene, failing)) failed.add(site)
  })
}

test('every redis.call of every script was made to fail', () => {
  assert.deepEqual([...callSites().difference(failed)], [])
})
