import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ScriptScene } from '../../../test/model/script-scene.ts'

const GRACE_MS = 1_000

test('a job is dead for want of a handler only when nobody read it for the whole grace period', async () => {
  await using scene = await ScriptScene.open()
  const [id = ''] = await scene.enqueue({ type: 'y' })
  const sweep = () => scene.sweep({ letters: ['ty'], graceMs: GRACE_MS })
  await scene.settle(await scene.readOne('lacking'), { r: 'aside' })
  scene.pass(GRACE_MS - 1)
  assert.deepEqual(await sweep(), { rescued: 0, dead: 0 })
  // A worker that has the handler runs it; it is tried again, and comes to one that lacks it once more.
  await scene.settle(await scene.readOne('having', 'ty'), { r: 'delayed', d: GRACE_MS, a: true, er: { m: 'Error' } })
  scene.pass(GRACE_MS)
  await scene.promote()
  await scene.settle(await scene.readOne('lacking', 'f'), { r: 'aside' })
  assert.deepEqual(await sweep(), { rescued: 0, dead: 0 })
  assert.equal(await scene.whereabouts(id), 'ty')
  scene.pass(GRACE_MS)
  assert.deepEqual(await sweep(), { rescued: 0, dead: 1 })
  assert.equal((await scene.look()).records.get(id)?.options.rs, 'no handler')
})
