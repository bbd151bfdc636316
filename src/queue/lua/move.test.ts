import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ScriptScene } from '../../../test/model/script-scene.ts'

for (const to of ['cancel', 'purge', 'retry'] as const) {
  test(`${to} takes no entry for a job that has an id of its own`, async () => {
    await using scene = await ScriptScene.open()
    const [first = ''] = await scene.enqueue({ key: 'k' }, { key: 'k' })
    const [{ entry } = { entry: '' }] = (await scene.look()).entries
    assert.equal(await scene.move(to, entry), 'not_found')
    assert.equal(await scene.whereabouts(first), 'm')
  })
}
