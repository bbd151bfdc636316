import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fenceOf } from '../../job/job-id.ts'
import { ScriptScene } from '../../../test/model/script-scene.ts'

test('attack 4: the next job of a key has a higher fence though the clock was set back before it came', async () => {
  await using scene = await ScriptScene.open()
  await scene.enqueue({ key: 'k' })
  scene.pass(20)
  await scene.settle(await scene.readOne('a'), { r: 'released' })
  const first = await scene.readOne('a', 'f')
  scene.pass(1)
  await scene.settle(first, { r: 'completed' })
  scene.pass(-100)
  await scene.enqueue({ key: 'k' })
  const second = await scene.readOne('a')
  assert.ok(second.fence > first.fence)
})

test('attack 4: fences grow in a queue that came after the boot, though the clock was set back between', async () => {
  await using scene = await ScriptScene.open()
  await scene.namespace.flush()
  await scene.newLife('producer')
  scene.pass(-1_000)
  await scene.connectWorker()
  await scene.enqueue({})
  const first = await scene.readOne('a')
  await scene.settle(first, { r: 'released' })
  const second = await scene.readOne('a', 'f')
  assert.ok(second.fence > first.fence)
})

test('attack 4: fences grow in a queue that its first job made, though the clock was set back since the boot', async () => {
  await using scene = await ScriptScene.open()
  await scene.namespace.flush()
  await scene.newLife('producer')
  scene.pass(-1_000)
  await scene.enqueue({})
  await scene.connectWorker()
  const first = await scene.readOne('a')
  await scene.settle(first, { r: 'released' })
  const second = await scene.readOne('a', 'f')
  assert.ok(second.fence > first.fence)
})

const FIRST_CALLS = {
  'one job': (scene: ScriptScene) => scene.enqueue({}),
  'a delayed job before it': async (scene: ScriptScene) => {
    await scene.enqueue({ in: 60_000 })
    return scene.enqueue({})
  },
  'many plain jobs': async ({ namespace }: ScriptScene) => {
    const [, , first = ''] = await namespace.run<string[]>('enqueue', { q: 'q', n: 2, plain: 'x' }, ['1', '2'])
    return [first]
  },
  'a worker that had connected': async (scene: ScriptScene) => {
    await scene.connectWorker()
    return scene.enqueue({})
  },
}

for (const [name, enqueue] of Object.entries(FIRST_CALLS)) {
  test(`attack 4: the first job of a forgotten queue goes on above the boot, though the clock was set back (${name})`, async () => {
    await using scene = await ScriptScene.open()
    await scene.namespace.flush()
    const boot = await scene.newLife('producer')
    scene.pass(-1_000)
    const [first = ''] = await enqueue(scene)
    assert.ok(fenceOf(first, '0-0') > fenceOf(boot, '0-0'), `${first} is not above ${boot}`)
  })
}

test('attack 4: a queue that had delayed jobs alone goes on above the next boot, though the clock was set back', async () => {
  await using scene = await ScriptScene.open()
  await scene.namespace.flush()
  await scene.newLife('producer')
  await scene.enqueue({ in: 60_000 })
  const boot = await scene.newLife('producer')
  scene.pass(-1_000)
  const [first = ''] = await scene.enqueue({})
  assert.ok(fenceOf(first, '0-0') > fenceOf(boot, '0-0'), `${first} is not above ${boot}`)
})

test('a key that is used many times in a millisecond does not run ahead of the clock', async () => {
  await using scene = await ScriptScene.open()
  for (let time = 0; time < 10; time++) {
    await scene.enqueue({ key: 'k' })
    await scene.settle(await scene.readOne('a'), { r: 'completed' })
  }
  await scene.enqueue({ key: 'k' })
  assert.equal((await scene.readOne('a')).entry, `${scene.namespace.nowMs}-10`)
})
