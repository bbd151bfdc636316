import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { fenceOf } from '../../src/job/job-id.ts'
import { type Fetched, QueueScene } from '../support/queue-scene.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'

// Attack 4: after a failover the clock of the new server may stand behind that of the old one. What it had issued, and its copy never
// heard of, must not be issued again: fences begin above the highest instant that anybody who connects was told.

const AHEAD_MS = 3_600_000
let redis: RedisServer
before(async () => {
  redis = await startRedis()
})
after(() => redis.stop())

type Opened = [bootId: string, state: 'new' | 'known']

const open = (scene: QueueScene, pair: string, seen?: number, queues: string[] = []) =>
  scene.run<Opened>('open', { pair, queues, groups: queues.length > 0, seen })

/** Which new attempts have fences above all that was issued until `seen`. */
async function fencesAbove(seen: number, scene: QueueScene, queue: string, bootId: string) {
  const issued = fenceOf(`${seen}-1000`, '0-0')
  const isAbove = (attempt: Fetched | undefined) => attempt !== undefined && fenceOf(attempt.entry, bootId) > issued
  await scene.enqueue(queue, [{}, { key: 'k' }])
  const [plain, keyed] = await scene.fetch(queue, 2)
  await scene.settle(queue, plain ? [plain] : [], { r: 'released' })
  const [again] = await scene.fetch(queue, 1, 'f')
  return { plain: isAbove(plain), keyed: isAbove(keyed), again: isAbove(again) }
}

test('attack 4: fences are above all that had been issued when whoever was told of the most opens the new life', async () => {
  const scene = await QueueScene.open(redis.url, 'failover-new')
  try {
    const seen = Math.floor(await scene.serverMs()) + AHEAD_MS
    const [bootId, state] = await open(scene, 'another/life', seen, ['default'])
    assert.equal(state, 'new')
    assert.deepEqual(await fencesAbove(seen, scene, 'default', bootId), { plain: true, keyed: true, again: true })
  } finally {
    scene.close()
  }
})

test('attack 4: fences of keys and of jobs that come again are above it, too, when somebody who was told of nothing opened it', async () => {
  const scene = await QueueScene.open(redis.url, 'failover-known')
  try {
    const seen = Math.floor(await scene.serverMs()) + AHEAD_MS
    assert.equal((await open(scene, 'another/life'))[1], 'new')
    const [bootId, state] = await open(scene, 'another/life', seen, ['default'])
    assert.equal(state, 'known')
    assert.deepEqual(await fencesAbove(seen, scene, 'default', bootId), { plain: true, keyed: true, again: true })
  } finally {
    scene.close()
  }
})
