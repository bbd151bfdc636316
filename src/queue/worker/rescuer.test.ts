import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { QueueScene } from '../../../test/support/queue-scene.ts'
import { type RedisServer, startRedis } from '../../../test/support/redis-server.ts'
import { silentLogger } from '../../logger.ts'
import { lettersOf } from '../keys.ts'
import { Lane } from './lane.ts'
import { Rescuer } from './rescuer.ts'
import type { WorkerSession } from './worker-session.ts'

const LEASE_MS = 400 // a sweep may be late by a quarter of it
let redis: RedisServer
before(async () => {
  redis = await startRedis()
})
after(() => redis.stop())

/** Two queues, each with one job in its main and one in its front stream that a dead worker had; their leases have ended. */
async function setUp(namespace: string, { maySweep = (): boolean => true, lateMs = 0 } = {}) {
  const scene = await QueueScene.open(redis.url, namespace, ['a', 'b'])
  const failures: object[] = []
  const log = { ...silentLogger, error: (facts: object) => failures.push(facts) }
  const lanes = ['a', 'b'].map((queue) => new Lane(queue, 1, 10))
  const rescuer = new Rescuer({
    lanes,
    log,
    leaseMs: LEASE_MS,
    maxStalls: 3,
    unhandledGraceMs: 60_000,
    maySweep,
    serverNow: () => Date.now() - lateMs, // one machine, one clock
  })
  for (const queue of ['a', 'b']) {
    await scene.enqueue(queue, [{}, {}])
    const [first] = await scene.fetch(queue, 2)
    assert.ok(first)
    await scene.settle(queue, [first], { r: 'released' })
    await scene.fetch(queue, 1, 'f')
  }
  await scene.pass(LEASE_MS)
  const session = { work: await scene.openNamespace(), consumer: 'r.1' } as WorkerSession
  return {
    scene,
    failures,
    sweep: () => rescuer.runOnce(session, new AbortController().signal),
    waits: (queue: string) => scene.command('XLEN', `:q:${queue}:suspect`),
  }
}

test('rescues what a dead worker had of every stream of every queue', async () => {
  const { scene, sweep, waits, failures } = await setUp('all')
  assert.deepEqual(await sweep(), { rescued: 4, dead: 0 })
  assert.deepEqual([await waits('a'), await waits('b'), failures], [2, 2, []])
  scene.close()
})

test('an entry that is not one of a job is dead, and keeps no other from being swept', async () => {
  const { scene, sweep, waits, failures } = await setUp('foreign')
  await scene.command('XADD', ':q:a', '*', 't', 'test.job', 'o', '{"s":"no number"}', 'd', 'null')
  await scene.fetch('a', 1)
  await scene.pass(LEASE_MS)
  assert.deepEqual(await sweep(), { rescued: 4, dead: 1 })
  assert.deepEqual([await waits('a'), await waits('b'), failures], [2, 2, []])
  scene.close()
})

test('a queue whose keys are broken does not keep the later ones from being swept, and loses nothing', async () => {
  const { scene, sweep, waits, failures } = await setUp('broken')
  await scene.command('DEL', ':q:a:suspect')
  await scene.command('SET', ':q:a:suspect', 'a string')
  assert.deepEqual(await sweep(), { rescued: 2, dead: 0 })
  assert.equal(await waits('b'), 2)
  assert.ok(failures.length > 0)
  await scene.command('DEL', ':q:a:suspect')
  assert.deepEqual(await sweep(), { rescued: 2, dead: 0 })
  assert.equal(await waits('a'), 2)
  scene.close()
})

test('a queue whose list of side streams is broken does not keep the later ones from being swept, nor its own streams', async () => {
  const { scene, sweep, waits, failures } = await setUp('broken-sides')
  await scene.command('SET', ':q:a:sides', 'a string')
  assert.deepEqual(await sweep(), { rescued: 4, dead: 0 })
  assert.deepEqual([await waits('a'), await waits('b'), failures.length], [2, 2, 1])
  scene.close()
})

test('a sweep under way ends when it may not go on', async () => {
  let pages = lettersOf([]).length // those of the first queue
  const { scene, sweep, waits } = await setUp('under-way', { maySweep: () => pages-- > 0 })
  assert.deepEqual(await sweep(), { rescued: 2, dead: 0 })
  assert.deepEqual([await waits('a'), await waits('b')], [2, 0])
  scene.close()
})

test('a sweep that comes late takes nothing over', async () => {
  const { scene, sweep } = await setUp('late', { lateMs: LEASE_MS / 2 })
  assert.deepEqual(await sweep(), { rescued: 0, dead: 0 })
  scene.close()
})
