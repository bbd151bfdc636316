import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type Outcome, QueueScene } from '../../../test/support/queue-scene.ts'
import { type RedisServer, startRedis } from '../../../test/support/redis-server.ts'

// Entries and records that no release of Moca wrote, or that somebody edited: no script may fail over one, because it would stop
// everything that stands behind it.

const DAMAGED_OPTIONS = [
  '{"s":"x"}',
  '{"c":[]}',
  '{"i":5}',
  '{"i":{}}',
  '{"at":null}',
  '{"a":1e999}',
  '{"r":true}',
  '{"f":"x"}',
  '{"f":7}',
  '{"k":{}}',
  '{"k":5}',
  '{"er":"x"}',
  '{"er":{"a":1}}',
  '{"er":{}}',
  '{"er":[null]}',
  '{"a":01}',
  '{"of another release":[1,{"deep":NaN}]}',
  '[1]',
  '5',
  '"x"',
  'null',
  'no JSON',
]

let redis: RedisServer
before(async () => {
  redis = await startRedis()
})
after(() => redis.stop())

/** Adds a foreign entry for each of the damaged options, and lets a worker read them all. */
async function readDamaged(namespace: string): Promise<{ scene: QueueScene; entries: string[] }> {
  const scene = await QueueScene.open(redis.url, namespace)
  const entries: string[] = []
  for (const options of DAMAGED_OPTIONS) {
    entries.push(await scene.command<string>('XADD', ':q:default', '*', 't', 'a', 'o', options, 'd', 'null'))
  }
  await scene.command('XREADGROUP', 'GROUP', 'w', 'w1.1', 'STREAMS', ':q:default', '>')
  return { scene, entries }
}

function sweep(scene: QueueScene, letter: string, more: object = {}): Promise<[string, number, number]> {
  const page = { q: 'default', s: letter, cursor: '0-0', limit: 1000, consumer: 'r.1' }
  // One machine, one clock.
  return scene.run('rescue', { ...page, lease: 1, maxStalls: 3, at: Date.now(), within: 60_000, ...more })
}

test('a sweep buries damaged entries as unreadable, and rescues what stands behind them', async () => {
  const { scene, entries } = await readDamaged('swept')
  const [behind = ''] = await scene.enqueue('default', [{}])
  await scene.fetch('default', 1)
  await scene.pass(5)
  const [, rescued, dead] = await sweep(scene, 'm')
  assert.deepEqual([rescued, dead], [1, entries.length])
  assert.match(await scene.command('HGET', ':q:default:where', behind), /^s:/)
  for (const entry of entries) {
    const record = await scene.command<string>('HGET', ':q:default:recs', entry)
    assert.match(record, /"rs":"unreadable"/)
    assert.match(record, /The entry is not one of a job of this layout/)
  }
  scene.close()
})

test('a lease that is no number is taken for none', async () => {
  const scene = await QueueScene.open(redis.url, 'lease')
  await scene.command('HSET', ':workers:lease', 'w1', 'x')
  await scene.enqueue('default', [{}])
  await scene.fetch('default', 1)
  await scene.pass(5)
  assert.equal((await sweep(scene, 'm'))[1], 1)
  scene.close()
})

test('damaged entries of a side stream die for want of a handler like others', async () => {
  const scene = await QueueScene.open(redis.url, 'sides')
  await scene.command('SADD', ':q:default:sides', 'a')
  await scene.command('XGROUP', 'CREATE', ':q:default:t:a', 'w', '0', 'MKSTREAM')
  for (const options of [...DAMAGED_OPTIONS, '{"ls":"x"}']) {
    await scene.command('XADD', ':q:default:t:a', '*', 't', 'a', 'o', options, 'd', 'null')
  }
  await scene.pass(5)
  assert.equal((await sweep(scene, 'ta', { grace: 1 }))[2], DAMAGED_OPTIONS.length + 1)
  scene.close()
})

const OUTCOMES: readonly Outcome[] = [
  { r: 'completed' },
  { r: 'delayed', d: 0, a: true, er: { m: 'Error: boom' } },
  { r: 'dead', rs: 'attempts used up', a: true, er: { m: 'Error: boom' } },
  { r: 'released' },
  { r: 'aside' },
  { r: 'cancelled' },
  { r: 'expired' },
]

for (const outcome of OUTCOMES) {
  test(`damaged entries can be settled (${outcome.r})`, async () => {
    const { scene, entries } = await readDamaged(`settled-${outcome.r}`)
    const fetched = entries.map((entry) => ({ letter: 'm' as const, entry, place: entry }))
    assert.deepEqual(await scene.settle('default', fetched, outcome), [])
    assert.equal(await scene.command('XLEN', ':q:default'), 0)
    scene.close()
  })
}

test('damaged entries can be handed back', async () => {
  const { scene, entries } = await readDamaged('released')
  const refs = entries.flatMap((entry) => ['1m', entry, ''])
  const header = { w: 'w1', c: 'w1.1', q: ['default'], n: entries.length }
  assert.equal(await scene.run('release', header, ...refs), entries.length)
  scene.close()
})

test('damaged entries of an older session can be handed back', async () => {
  const { scene, entries } = await readDamaged('adopted')
  const header = { w: 'w1', n: 2, c: 'w1.2', q: 'default', s: 'm', limit: 500 }
  assert.deepEqual(await scene.run('adopt', header), [entries.length, 'done'])
  scene.close()
})

const DAMAGED_RECORDS = [...DAMAGED_OPTIONS.map((options) => `kr\na\n${options}\nnull`), '', 'x', 'r\nx', 'r\na\n{}']

async function record(scene: QueueScene, set: 'later' | 'dead'): Promise<string[]> {
  const ids = DAMAGED_RECORDS.map((_, index) => `g${String(index).padStart(20, '0')}`)
  for (const [index, id] of ids.entries()) {
    await scene.command('ZADD', `:q:default:${set}`, '1', id)
    await scene.command('HSET', ':q:default:recs', id, DAMAGED_RECORDS[index] ?? '')
  }
  return ids
}

test('damaged records that are due are promoted like others', async () => {
  const scene = await QueueScene.open(redis.url, 'promoted')
  const ids = await record(scene, 'later')
  assert.equal((await scene.run<[number]>('promote', { q: 'default', limit: 100 }))[0], ids.length)
  assert.equal(await scene.command('HLEN', ':q:default:recs'), 0)
  assert.equal(await scene.command('XLEN', ':q:default:front'), ids.length)
  scene.close()
})

for (const [to, word] of [
  ['retry', 'retried'],
  ['purge', 'purged'],
] as const) {
  test(`damaged dead letters can be moved (${to})`, async () => {
    const scene = await QueueScene.open(redis.url, to)
    const ids = await record(scene, 'dead')
    const words = await scene.run<string[]>('move', { q: 'default', to, n: ids.length }, ...ids)
    assert.deepEqual(new Set(words), new Set([word]))
    assert.equal(await scene.command('HLEN', ':q:default:recs'), 0)
    scene.close()
  })
}

test('what waits in a damaged entry can be cancelled, and a damaged note leads nowhere', async () => {
  const scene = await QueueScene.open(redis.url, 'cancelled')
  await scene.command('HSET', ':q:default:where', 'g00000000000000000001', 'no place', 'g00000000000000000002', 'm:x')
  const ids = ['g00000000000000000001', 'g00000000000000000002']
  for (const options of DAMAGED_OPTIONS) {
    ids.push(await scene.command<string>('XADD', ':q:default', '*', 't', 'a', 'o', options, 'd', 'null'))
  }
  const [first, second, ...words] = await scene.run<string[]>(
    'move',
    { q: 'default', to: 'cancel', n: ids.length },
    ...ids,
  )
  assert.deepEqual([first, second], ['not_found', 'not_found'])
  assert.deepEqual(new Set(words), new Set(['cancelled']))
  scene.close()
})

test('queues with damaged entries are counted', async () => {
  const scene = await QueueScene.open(redis.url, 'counted')
  await scene.command('XADD', ':q:default', '*', 't', 'a', 'o', '{"at":"x"}', 'd', 'null')
  const { queues } = JSON.parse(await scene.run<string>('count', { queues: ['default'] }))
  assert.ok(queues.default.oldest > 0)
  scene.close()
})
