import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LEASE_MS } from '../../../test/model/namespace-under-test.ts'
import { type Held, ScriptScene } from '../../../test/model/script-scene.ts'

// Interleavings that broke earlier drafts of the queue, each with the scripts as they are. The numbers are those under which the
// project talks about them; 5 to 8 need real processes and stand in test/chaos.

const RETRY = { r: 'delayed', d: 0, a: true, er: { m: 'Error: planned' } } as const
const DEAD = { r: 'dead', rs: 'attempts used up', a: true } as const

test('attack 1: jobs that stand elsewhere first have ids that no entry of a stream can have', async () => {
  await using scene = await ScriptScene.open()
  const ids = await scene.enqueue({}, { key: 'k' }, { key: 'k' }, { in: 5 }, {}, { big: true })
  scene.pass(5)
  await scene.promote()
  assert.equal(new Set(ids).size, ids.length)
  // All of them are tried again in the same ms: each keeps its own record.
  const held = [...(await scene.read('a', 'm', 10)), ...(await scene.read('a', 'f', 10))]
  for (const attempt of held) await scene.settle(attempt, RETRY)
  const { later, records } = await scene.look()
  assert.equal(later.size, 5)
  assert.deepEqual([...records.keys()].toSorted(), ids.toSorted())
})

test('attack 1: a job of a side stream cannot have the id of one of the main stream', async () => {
  await using scene = await ScriptScene.open()
  const [lacked] = await scene.enqueue({ type: 'y' })
  await scene.settle(await scene.readOne('a'), { r: 'aside' })
  const [other] = await scene.enqueue({})
  const [inSide] = await scene.read('b', 'ty')
  assert.equal(inSide?.id, lacked)
  assert.notEqual(inSide?.id, other)
})

test('attack 2: a late settle does not destroy the record of the next attempt', async () => {
  await using scene = await ScriptScene.open()
  const [id = ''] = await scene.enqueue({})
  const first = await scene.readOne('a')
  await scene.rescue(first)
  const second = await scene.readOne('b', 's')
  assert.deepEqual(await scene.settle(second, { r: 'delayed', d: 60_000, a: true, er: { m: 'Error: of b' } }), [])
  const before = (await scene.look()).records.get(id)
  for (const outcome of [
    RETRY,
    DEAD,
    { r: 'released' },
    { r: 'aside' },
    { r: 'cancelled' },
    { r: 'completed' },
  ] as const) {
    assert.deepEqual(await scene.settle(first, outcome), [`m:${first.entry}`])
    assert.deepEqual((await scene.look()).records.get(id), before)
    assert.equal(await scene.whereabouts(id), 'delayed')
  }
})

test('attack 3: among many completions the stale ones are told apart', async () => {
  await using scene = await ScriptScene.open()
  await scene.enqueue({}, {}, {}, {})
  const [a, b, c, d] = (await scene.read('a', 'm', 4)) as [Held, Held, Held, Held]
  await scene.rescue(b, d)
  assert.deepEqual(await scene.complete(a, b, c, d), [`m:${b.entry}`, `m:${d.entry}`])
  const { counters, entries } = await scene.look()
  assert.equal(counters.get('completed'), 2)
  assert.deepEqual(
    entries.map(({ id, letter }) => [id, letter]),
    [
      [b.id, 's'],
      [d.id, 's'],
    ],
  )
})

test('attack 3: a completion sent twice frees its key once', async () => {
  await using scene = await ScriptScene.open()
  const [, second, third] = await scene.enqueue({ key: 'k' }, { key: 'k' }, { key: 'k' })
  const first = await scene.readOne('a')
  assert.deepEqual(await scene.settle(first, { r: 'completed' }), [])
  assert.deepEqual(await scene.settle(first, { r: 'completed' }), [`m:${first.entry}`])
  assert.equal(await scene.whereabouts(second as string), 'f')
  assert.equal(await scene.whereabouts(third as string), 'gate of k')
})

test('attack 4: fences grow when a job comes back in the same millisecond', async () => {
  await using scene = await ScriptScene.open()
  await scene.enqueue({}, {}, {}, {}, {}, {}, {}, {})
  const held = (await scene.read('a', 'm', 8)).at(-1) as Held
  await scene.settle(held, RETRY)
  await scene.promote()
  const retried = await scene.readOne('a', 'f')
  assert.equal(retried.id, held.id)
  assert.ok(retried.fence > held.fence)
  await scene.settle(retried, { r: 'released' })
  const released = await scene.readOne('a', 'f')
  assert.ok(released.fence > retried.fence)
})

test('attack 4: fences grow though the clock of the server is set back', async () => {
  await using scene = await ScriptScene.open()
  await scene.enqueue({})
  let held = await scene.readOne('a')
  for (const [letter, outcome] of [
    ['f', RETRY],
    ['f', { r: 'released' }],
  ] as const) {
    scene.pass(-1_000)
    await scene.settle(held, outcome)
    await scene.promote()
    const next = await scene.readOne('a', letter)
    assert.ok(next.fence > held.fence)
    held = next
  }
})

test('attack 4: an attempt that the server forgot cannot settle the one that followed it', async () => {
  await using scene = await ScriptScene.open()
  const [id = ''] = await scene.enqueue({})
  const forgotten = await scene.readOne('a')
  // The server comes back without the read: the entry is unread again, and another worker gets the same one.
  await scene.namespace.command('XGROUP', 'SETID', `${scene.namespace.prefix}q:q`, 'w', '0')
  await scene.namespace.command('XACK', `${scene.namespace.prefix}q:q`, 'w', forgotten.entry)
  scene.pass(1)
  await scene.newLife()
  const second = await scene.readOne('b')
  assert.equal(second.entry, forgotten.entry)
  assert.ok(second.fence > forgotten.fence)
  assert.deepEqual(await scene.settle(forgotten, { r: 'completed' }), [`m:${forgotten.entry}`])
  assert.equal(await scene.whereabouts(id), 'm')
  assert.deepEqual(await scene.settle(second, { r: 'completed' }), [])
})

test('attack 4: what comes after a restart has higher fences though the clock was set back', async () => {
  await using scene = await ScriptScene.open()
  const [id = ''] = await scene.enqueue({})
  const boot = await scene.newLife()
  scene.pass(-10_000)
  const [other = ''] = await scene.enqueue({ key: 'k' })
  const first = await scene.readOne('a')
  assert.equal(first.id, id)
  await scene.settle(first, { r: 'released' })
  const second = await scene.readOne('a', 'f')
  assert.ok(second.fence > first.fence)
  const keyed = await scene.readOne('a')
  assert.equal(keyed.id, other)
  assert.ok(keyed.fence > BigInt(boot.split('-')[0] as string) << 20n)
})

test('attack 8: a sweep that comes late, or from before the clock was set, takes nothing over', async () => {
  await using scene = await ScriptScene.open()
  await scene.enqueue({})
  const held = await scene.readOne('a')
  await scene.namespace.age([{ letter: 'm', entry: held.entry, owner: 'a.1' }])
  const now = scene.namespace.nowMs
  for (const sentAtMs of [now - LEASE_MS / 2, now + LEASE_MS / 2])
    assert.deepEqual(await scene.sweep({ sentAtMs }), { rescued: 0, dead: 0 })
  assert.deepEqual(await scene.sweep(), { rescued: 1, dead: 0 })
})

test('attack 9: the first rescue is not charged; a job that is dead of stalls was charged for each', async () => {
  await using scene = await ScriptScene.open()
  const ids = await scene.enqueue({}, {}, {})
  const prefetched = await scene.read('a', 'm', 3)
  assert.deepEqual(await scene.rescue(...prefetched), { rescued: 3, dead: 0 })
  const charged = async () => (await scene.look()).entries.map(({ options }) => options.c ?? 0)
  assert.deepEqual(await charged(), [0, 0, 0])
  // Two of them are healthy; one kills each worker that runs it.
  for (const healthy of await scene.read('b', 's', 2))
    assert.deepEqual(await scene.settle(healthy, { r: 'completed' }), [])
  for (const [letter, expected] of [
    ['s', 1],
    ['a', 2],
  ] as const) {
    assert.deepEqual(await scene.rescue(await scene.readOne('c', letter)), { rescued: 1, dead: 0 })
    assert.deepEqual(await charged(), [expected])
  }
  assert.deepEqual(await scene.rescue(await scene.readOne('d', 'a')), { rescued: 0, dead: 1 })
  assert.equal(await scene.whereabouts(ids[2] as string), 'dead')
})

test('attack 9: a job that was charged goes to those that run alone, from wherever it comes back', async () => {
  await using scene = await ScriptScene.open()
  const [id = ''] = await scene.enqueue({})
  await scene.rescue(await scene.readOne('a'))
  await scene.rescue(await scene.readOne('b', 's'))
  assert.equal(await scene.whereabouts(id), 'a')
  await scene.settle(await scene.readOne('c', 'a'), { r: 'released' })
  assert.equal(await scene.whereabouts(id), 'a')
  await scene.settle(await scene.readOne('c', 'a'), RETRY)
  await scene.promote()
  assert.equal(await scene.whereabouts(id), 'a')
})

test('attack 9: a suspect that waits, is released or retried is not charged', async () => {
  await using scene = await ScriptScene.open()
  const [id = ''] = await scene.enqueue({})
  await scene.rescue(await scene.readOne('a'))
  assert.deepEqual(await scene.sweep(), { rescued: 0, dead: 0 })
  await scene.settle(await scene.readOne('b', 's'), { r: 'released' })
  await scene.settle(await scene.readOne('b', 's'), RETRY)
  await scene.promote()
  assert.equal(await scene.whereabouts(id), 's')
  const { entries } = await scene.look()
  assert.deepEqual(
    entries.map(({ options }) => [options.s, options.c]),
    [[1, undefined]],
  )
})

test('attack 10: a retried job that holds its key does not wait for itself', async () => {
  await using scene = await ScriptScene.open()
  const [first = '', second = ''] = await scene.enqueue({ key: 'k' }, { key: 'k' })
  for (const outcome of [RETRY, { r: 'delayed', d: 0 }] as const) {
    const held = await scene.readOne('a', outcome === RETRY ? 'm' : 'f')
    assert.equal(held.id, first)
    await scene.settle(held, outcome)
    await scene.promote()
    assert.equal(await scene.whereabouts(first), 'f')
    assert.equal(await scene.whereabouts(second), 'gate of k')
  }
})

const ENDS: [string, (scene: ScriptScene, id: string) => Promise<unknown>][] = [
  ['completed', async (scene) => scene.settle(await scene.readOne('a'), { r: 'completed' })],
  ['cancelled by its handler', async (scene) => scene.settle(await scene.readOne('a'), { r: 'cancelled' })],
  ['expired', async (scene) => scene.settle(await scene.readOne('a'), { r: 'expired' })],
  ['dead', async (scene) => scene.settle(await scene.readOne('a'), DEAD)],
  ['cancelled while it waited', (scene, id) => scene.move('cancel', id)],
  ['purged while it waited', (scene, id) => scene.move('purge', id)],
  [
    'cancelled between two attempts',
    async (scene, id) => {
      await scene.settle(await scene.readOne('a'), { r: 'delayed', d: 60_000, a: true })
      return scene.move('cancel', id)
    },
  ],
  [
    'dead of stalls',
    async (scene) => {
      for (const letter of ['m', 's', 'a', 'a']) await scene.rescue(await scene.readOne('a', letter))
    },
  ],
]

for (const [end, come] of ENDS) {
  test(`attack 10: a job that is ${end} lets the next of its key through, ahead of the backlog`, async () => {
    await using scene = await ScriptScene.open()
    const [first = '', second = '', third = ''] = await scene.enqueue({ key: 'k' }, { key: 'k' }, { key: 'k' }, {}, {})
    await come(scene, first)
    assert.equal(await scene.whereabouts(second), 'f')
    assert.equal(await scene.whereabouts(third), 'gate of k')
    assert.equal(await scene.move('cancel', third), 'cancelled')
    await scene.settle(await scene.readOne('b', 'f'), { r: 'completed' })
    assert.equal((await scene.look()).slots.size, 0)
  })
}

const DEATHS: [string, (scene: ScriptScene) => Promise<unknown>][] = [
  ['of its failures', async (scene) => scene.settle(await scene.readOne('a'), DEAD)],
  [
    'of stalls',
    async (scene) => {
      for (const letter of ['m', 's', 'a', 'a']) await scene.rescue(await scene.readOne('a', letter))
    },
  ],
  [
    'without a handler',
    async (scene) => {
      await scene.settle(await scene.readOne('a'), { r: 'aside' })
      await scene.sweep({ letters: ['tx'], graceMs: 0 })
    },
  ],
]

for (const [how, die] of DEATHS) {
  test(`attack 10: a dead letter that keeps its key (it died ${how}) lets nobody pass, and runs again before all others`, async () => {
    await using scene = await ScriptScene.open()
    const [first = '', second = ''] = await scene.enqueue({ key: 'k', blocks: true }, { key: 'k' })
    await die(scene)
    const [delayed = ''] = await scene.enqueue({ key: 'k', in: 5 })
    const [third = ''] = await scene.enqueue({ key: 'k' })
    scene.pass(5)
    await scene.promote()
    assert.equal(await scene.whereabouts(first), 'dead')
    for (const id of [second, third, delayed]) assert.equal(await scene.whereabouts(id), 'gate of k')
    assert.equal(await scene.move('retry', first), 'retried')
    const again = await scene.readOne('b', 'f')
    assert.equal(again.id, first)
    for (const id of [second, third, delayed]) assert.equal(await scene.whereabouts(id), 'gate of k')
    await scene.settle(again, { r: 'completed' })
    const next = await scene.readOne('b', 'f')
    assert.equal(next.id, second)
    assert.ok(next.fence > again.fence)
  })
}

for (const to of ['cancel', 'purge'] as const) {
  test(`attack 10: ${to} of a dead letter that keeps its key lets the next one through, with a higher fence`, async () => {
    await using scene = await ScriptScene.open()
    const [first = '', second = ''] = await scene.enqueue({ key: 'k', blocks: true }, { key: 'k' })
    const held = await scene.readOne('a')
    await scene.settle(held, DEAD)
    scene.pass(-1_000)
    assert.equal(await scene.move(to, first), to === 'cancel' ? 'cancelled' : 'purged')
    assert.equal(await scene.whereabouts(first), 'nowhere')
    const next = await scene.readOne('b', 'f')
    assert.equal(next.id, second)
    assert.ok(next.fence > held.fence)
    await scene.settle(next, { r: 'completed' })
    assert.equal((await scene.look()).slots.size, 0)
  })
}

test('attack 10: a purged queue keeps its streams', async () => {
  await using scene = await ScriptScene.open()
  const ids = await scene.enqueue({}, { key: 'k' }, { in: 5 })
  for (const id of ids) assert.equal(await scene.move('purge', id), 'purged')
  assert.equal(await scene.namespace.command('EXISTS', `${scene.namespace.prefix}q:q`), 1)
})

test('attack 11: a script that meets a key of another type changes nothing that a second run could not finish', async () => {
  await using scene = await ScriptScene.open()
  const later = `${scene.namespace.prefix}q:q:later`
  const [id = ''] = await scene.enqueue({})
  const held = await scene.readOne('a')
  await scene.namespace.command('SET', later, 'of another type')
  await assert.rejects(scene.settle(held, RETRY), /WRONGTYPE/)
  await scene.namespace.command('DEL', later)
  const { entries } = await scene.namespace.look()
  assert.deepEqual(
    entries.map(({ id, owner }) => [id, owner]),
    [[id, 'a.1']],
  )
  assert.deepEqual(await scene.settle(held, RETRY), [])
  assert.equal(await scene.whereabouts(id), 'delayed')
})

test('attack 11: without memory nothing is accepted, and all that is held can still be settled, rescued and moved', async () => {
  await using scene = await ScriptScene.open()
  const [, , , delayed = ''] = await scene.enqueue({}, {}, {}, { in: 5 }, {})
  const [first, second, third] = (await scene.read('a', 'm', 3)) as [Held, Held, Held]
  await scene.namespace.command('CONFIG', 'SET', 'maxmemory', '1')
  try {
    await assert.rejects(scene.enqueue({}, {}), /OOM/)
    assert.deepEqual(await scene.settle(first, { r: 'completed' }), [])
    assert.deepEqual(await scene.settle(second, { r: 'delayed', d: 60_000, a: true }), [])
    assert.deepEqual(await scene.rescue(third), { rescued: 1, dead: 0 })
    scene.pass(5)
    assert.equal(await scene.promote(), 1)
    assert.equal(await scene.whereabouts(delayed), 'f')
    assert.equal(await scene.move('cancel', delayed), 'cancelled')
    assert.equal((await scene.look()).counters.get('accepted'), 5)
  } finally {
    await scene.namespace.command('CONFIG', 'SET', 'maxmemory', '0')
  }
})
