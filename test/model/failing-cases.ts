import type { Fire } from '../../src/job/fire-receiver.ts'
import type { ReceivedJob } from '../../src/job/job-receiver.ts'
import { LARGE_PAYLOAD_BYTES } from '../../src/queue/entry.ts'
import { fireValues } from '../../src/queue/receiver/fire-values.ts'
import { formatPosition } from '../../src/queue/receiver/position.ts'
import { ReceivedCall } from '../../src/queue/receiver/received-call.ts'
import type { FailingCase, PreparedCall } from './failing-calls.ts'
import { LEASE_MS, QUEUE } from './namespace-under-test.ts'
import { completedText, type Held, type SceneJob, type ScriptScene } from './script-scene.ts'
import type { SettledOutcome } from './server-model.ts'

// For each script the states in which it does each thing that it can do: together they reach every redis.call.

const settleHeader = { q: QUEUE, w: 'a', lists: [], m: 1 }
const DELAYED = { r: 'delayed', d: 5, a: true, er: { m: 'Error' } } as const
const DEAD = { r: 'dead', rs: 'attempts used up', a: true } as const
const KEYED_PAIR = [{ key: 'k' }, { key: 'k' }]
const BLOCKING_PAIR = [{ key: 'k', blocks: true }, { key: 'k' }]

function settleCase(name: string, jobs: readonly SceneJob[], outcome: SettledOutcome): FailingCase {
  return {
    name: `settle: ${name}`,
    script: 'settle',
    async prepare(scene) {
      await scene.enqueue(...jobs)
      return settling(await scene.readOne('a'), outcome)
    },
  }
}

function settling(held: Held, outcome: SettledOutcome): PreparedCall {
  const isEnd = outcome.r === 'completed' || outcome.r === 'cancelled' || outcome.r === 'expired'
  return {
    header: settleHeader,
    args: [report(held, outcome)],
    again: [report(held, { ...outcome, again: true })],
    ends: isEnd ? [held.id] : [],
  }
}

function report({ letter, entry, id }: Held, outcome: SettledOutcome): string {
  return JSON.stringify({ s: letter, e: entry, i: id, ...outcome })
}

/** Completions in a list as they are sent again. */
function completedAgain(held: readonly Held[]): string[] {
  return held.map((one) => report(one, { r: 'completed', again: true }))
}

/** Jobs of every kind, as an outbox or emitted events bring them; k is held by another job. */
function receivedJobs(nowMs: number): ReceivedJob[] {
  const job = (place: string, more: Partial<ReceivedJob> = {}): ReceivedJob => {
    const base = { queue: QUEUE, type: 'x', options: `{"i":"${place}"}`, payload: 'null' }
    return { ...base, place, key: undefined, dueMs: undefined, ...more }
  }
  return [
    job('unkeyed'),
    job('gated', { key: 'k' }),
    job('free', { key: 'free' }),
    job('behind', { key: 'free' }),
    job('delayed', { dueMs: nowMs + 5 }),
    job('delayed-keyed', { dueMs: nowMs + 9, key: 'k' }),
    job('big', { payload: `"${'x'.repeat(LARGE_PAYLOAD_BYTES)}"` }),
  ]
}

function receiving(jobs: readonly ReceivedJob[], header: object, maxWaiting?: number): PreparedCall {
  const call = new ReceivedCall(jobs, [{ topic: 't', text: '{}' }], { [QUEUE]: maxWaiting })
  return { header: { ...header, ...call.header }, args: call.values, brings: jobs.map(({ place }) => place) }
}

/** Schedules that are named after their jobs. `last`: what is noted of the last fire. */
async function defineSchedule({ namespace }: ScriptScene, name: string, last: string): Promise<void> {
  await namespace.command('HSET', `${namespace.prefix}schedules`, `s:${name}`, '1 1 {}')
  await namespace.command('HSET', `${namespace.prefix}fires`, name, last)
  await namespace.command('SET', `${namespace.prefix}leader`, '1 us')
}

function firing({ namespace }: ScriptScene, jobs: readonly ReceivedJob[], act: Fire['act']): PreparedCall {
  const args = jobs.flatMap(({ type, payload, place, key, dueMs }) => {
    const options = JSON.stringify({ i: place, k: key })
    const base = { schedule: place, version: 1, instantMs: namespace.nowMs, act }
    return fireValues({ ...base, type, options, payload, place, key, dueMs })
  })
  return { header: { q: QUEUE, n: jobs.length, max: 100, o: 'us' }, args, brings: jobs.map(({ place }) => place) }
}

const RELAY_HEADER = { unit: '0', log: 'log', n: 1, epoch: 1, rows: 1, digest: 'd' }

function moveCase(
  name: string,
  to: 'cancel' | 'retry' | 'purge',
  prepare: (scene: ScriptScene) => Promise<string | undefined>,
): FailingCase {
  return {
    name: `move: ${name}`,
    script: 'move',
    async prepare(scene) {
      const id = (await prepare(scene)) ?? ''
      return { header: { q: QUEUE, to, n: 1 }, args: [id], ends: to === 'retry' ? [] : [id] }
    },
  }
}

export const FAILING_CASES: readonly FailingCase[] = [
  {
    name: 'enqueue: jobs of every kind',
    script: 'enqueue',
    async prepare(scene) {
      await scene.enqueue({ key: 'k' }, { idempotency: 'u1' })
      const job = (options: object, control: object) => ['x', JSON.stringify(options), 'null', JSON.stringify(control)]
      const flat = [
        ['x', '', 'null', ''],
        job({ i: 'gated', k: 'k' }, { i: 'gated', k: 'k' }),
        job({ i: 'free', k: 'free' }, { i: 'free', k: 'free' }),
        job({ i: 'behind', k: 'free' }, { i: 'behind', k: 'free' }),
        job({ i: 'delayed' }, { i: 'delayed', in: 5 }),
        job({ i: 'delayed-keyed', k: 'k' }, { i: 'delayed-keyed', in: 5, k: 'k' }),
        job({ i: 'due' }, { i: 'due', in: 0 }),
        job({ i: 'big', p: 4 }, { i: 'big', big: true }),
        ['x', '', 'null', JSON.stringify({ u: 'u1', ut: 60_000 })],
        ['x', '', 'null', JSON.stringify({ u: 'u2', ut: 60_000 })],
      ]
      return { header: { q: QUEUE, n: flat.length, max: 100 }, args: flat.flat() }
    },
  },
  {
    name: 'enqueue: with the clock set back',
    script: 'enqueue',
    async prepare(scene) {
      await scene.enqueue({})
      scene.pass(-1_000)
      const given = (i: string) => ['x', JSON.stringify({ i }), 'null', JSON.stringify({ i })]
      return { header: { q: QUEUE, n: 2 }, args: [...given('one'), ...given('two')] }
    },
  },
  {
    name: 'enqueue: the first job of a queue, full',
    script: 'enqueue',
    prepare: async () => ({ header: { q: QUEUE, n: 2, max: 1 }, args: ['x', '', 'null', '', 'x', '', 'null', ''] }),
  },
  {
    name: 'enqueue: all or none, one of them known',
    script: 'enqueue',
    async prepare(scene) {
      await scene.enqueue({ idempotency: 'u1' })
      const args = ['u1', 'u2'].flatMap((u) => ['x', '', 'null', JSON.stringify({ u, ut: 60_000 })])
      return { header: { q: QUEUE, n: 2, max: 2, atomic: true }, args }
    },
  },
  {
    name: 'enqueue: plain jobs told by their payloads',
    script: 'enqueue',
    prepare: async () => ({ header: { q: QUEUE, n: 2, plain: 'x' }, args: ['null', 'null'] }),
  },
  {
    name: 'enqueue: nothing accepted',
    script: 'enqueue',
    prepare: async () => ({ header: { q: QUEUE, n: 1, max: 0 }, args: ['x', '', 'null', ''] }),
  },
  {
    name: 'relay: jobs of every kind',
    script: 'relay',
    async prepare(scene) {
      await scene.enqueue({ key: 'k' })
      return receiving(receivedJobs(scene.namespace.nowMs), RELAY_HEADER, 100)
    },
  },
  {
    name: 'fire: jobs of every kind',
    script: 'fire',
    async prepare(scene) {
      await scene.enqueue({ key: 'k' })
      const jobs = receivedJobs(scene.namespace.nowMs)
      for (const { place } of jobs) await defineSchedule(scene, place, '0 ')
      return firing(scene, jobs, 'enqueue')
    },
  },
  {
    name: 'fire: with the clock set back',
    script: 'fire',
    async prepare(scene) {
      await scene.enqueue({})
      scene.pass(-1_000)
      const jobs = receivedJobs(scene.namespace.nowMs).slice(0, 1)
      for (const { place } of jobs) await defineSchedule(scene, place, '0 ')
      return firing(scene, jobs, 'enqueue')
    },
  },
  {
    name: 'fire: unless the job before is dead, or under way',
    script: 'fire',
    async prepare(scene) {
      await scene.enqueue({ key: 'dies' })
      const dead = await scene.readOne('a')
      await scene.settle(dead, DEAD)
      await scene.enqueue({ key: 'waits' })
      const [after, behind] = receivedJobs(scene.namespace.nowMs) as [ReceivedJob, ReceivedJob]
      await defineSchedule(scene, after.place, `0 ${QUEUE} ${dead.id}`)
      await defineSchedule(scene, behind.place, '0 ')
      return firing(scene, [after, behind], 'unless_busy')
    },
  },
  {
    name: 'publish: jobs of every kind',
    script: 'publish',
    async prepare(scene) {
      await scene.enqueue({ key: 'k' })
      return receiving(receivedJobs(scene.namespace.nowMs), { v: 0 }, 100)
    },
  },
  {
    name: 'publish: an event that tells of a note',
    script: 'publish',
    async prepare(scene) {
      const notes = `${scene.namespace.prefix}notes`
      await scene.enqueue({})
      await scene.settle(await scene.readOne('a'), DEAD)
      await scene.namespace.command('XGROUP', 'CREATE', notes, 'w', '0')
      const [[, [[note]]]] = await scene.namespace.command<[[string, [[string, string[]]]]]>(
        'XREADGROUP',
        'GROUP',
        'w',
        'n',
        'STREAMS',
        notes,
        '>',
      )
      return receiving(receivedJobs(scene.namespace.nowMs), { v: 0, note })
    },
  },
  {
    name: 'reposition: sets one, removes another',
    script: 'reposition',
    async prepare(scene) {
      await scene.enqueue({})
      await scene.namespace.command('HSET', `${scene.namespace.prefix}relay`, '1', 'log 7 1 1 d')
      const position = formatPosition({ logId: 'log', n: 6, epoch: 1, rows: 0, digest: '' })
      return { header: { n: 2 }, args: ['0', position, '1', ''] }
    },
  },
  {
    name: 'settle: plain completions',
    script: 'settle',
    async prepare(scene) {
      await scene.enqueue({}, {}, {})
      const held = await scene.read('a', 'm', 2)
      const header = { ...settleHeader, lists: [['m', false, false]], m: 0 }
      return { header, args: [completedText(held)], again: completedAgain(held), ends: held.map(({ id }) => id) }
    },
  },
  {
    name: 'settle: plain completions, and others of which one holds a key',
    script: 'settle',
    async prepare(scene) {
      await scene.enqueue({}, {}, ...KEYED_PAIR, {})
      const [one, two, keyed, failing] = (await scene.read('a', 'm', 4)) as [Held, Held, Held, Held]
      const header = { ...settleHeader, lists: [['m', false, true]], m: 2, hn: 10, ha: 1_000 }
      const others = [report(keyed, { r: 'completed' }), report(failing, DELAYED)]
      const again = [...completedAgain([one, two, keyed]), report(failing, DELAYED)]
      return { header, args: [completedText([one, two]), ...others], again, ends: [one.id, two.id, keyed.id] }
    },
  },
  {
    name: 'settle: plain completions with ids, one of them stale',
    script: 'settle',
    async prepare(scene) {
      await scene.enqueue({ in: 1 }, { in: 1 })
      scene.pass(1)
      await scene.promote()
      const [first, second] = (await scene.read('a', 'f', 2)) as [Held, Held]
      await scene.rescue(second)
      const header = { ...settleHeader, lists: [['f', true, true]], m: 0, hn: 10, ha: 1_000 }
      const again = completedAgain([first, second])
      return { header, args: [completedText([first, second])], again, ends: [first.id] }
    },
  },
  {
    name: 'settle: plain completions with ids',
    script: 'settle',
    async prepare(scene) {
      await scene.enqueue({ in: 1 })
      scene.pass(1)
      await scene.promote()
      const held = await scene.readOne('a', 'f')
      const header = { ...settleHeader, lists: [['f', true, false]], m: 0 }
      return { header, args: [completedText([held])], again: completedAgain([held]), ends: [held.id] }
    },
  },
  settleCase('completed, the next of its key waits', KEYED_PAIR, { r: 'completed' }),
  settleCase('completed, the last of its key', [{ key: 'k' }], { r: 'completed' }),
  settleCase('completed, with a large payload', [{ big: true }], { r: 'completed' }),
  settleCase('cancelled', KEYED_PAIR, { r: 'cancelled' }),
  settleCase('expired', [{ big: true }], { r: 'expired' }),
  settleCase('delayed', [{}], DELAYED),
  settleCase('delayed, the next of its key waits', KEYED_PAIR, DELAYED),
  settleCase('released', [{}], { r: 'released' }),
  settleCase('aside', [{ type: 'y' }], { r: 'aside' }),
  {
    name: 'settle: released, with the clock set back',
    script: 'settle',
    async prepare(scene) {
      await scene.enqueue({}, {})
      const [first, second] = (await scene.read('a', 'm', 2)) as [Held, Held]
      scene.pass(1_000)
      await scene.settle(first, { r: 'released' })
      scene.pass(-2_000)
      return settling(second, { r: 'released' })
    },
  },
  {
    name: 'settle: completed, with a name without a record first at the gate of its key',
    script: 'settle',
    async prepare(scene) {
      const [, gone = ''] = await scene.enqueue({ key: 'k' }, { key: 'k' }, { key: 'k' })
      await scene.namespace.command('HDEL', `${scene.namespace.prefix}q:${QUEUE}:recs`, gone)
      const held = await scene.readOne('a')
      return { ...settling(held, { r: 'completed' }), again: undefined, ends: [held.id, gone] }
    },
  },
  settleCase('dead', [{}], DEAD),
  settleCase('dead, the next of its key waits', KEYED_PAIR, DEAD),
  settleCase('dead, and keeps its key', BLOCKING_PAIR, DEAD),
  {
    name: 'settle: an entry deleted behind our back',
    script: 'settle',
    async prepare(scene) {
      await scene.enqueue({})
      const held = await scene.readOne('a')
      await scene.namespace.command('XDEL', `${scene.namespace.prefix}q:${QUEUE}`, held.entry)
      // Deleted behind our back: nobody can account for it.
      return { ...settling(held, DELAYED), again: undefined, ends: [held.id] }
    },
  },
  {
    name: 'settle: sent again, when it had been applied',
    script: 'settle',
    async prepare(scene) {
      await scene.enqueue({})
      const held = await scene.readOne('a')
      await scene.complete(held)
      return { ...settling(held, { r: 'completed', again: true }), ends: [held.id] }
    },
  },
  {
    name: 'rescue: to the suspects',
    script: 'rescue',
    async prepare(scene) {
      await scene.enqueue({}, ...KEYED_PAIR)
      await age(scene, await scene.read('a', 'm', 3))
      return { header: rescueHeader(scene, 'm') }
    },
  },
  {
    name: 'rescue: to the dead letters',
    script: 'rescue',
    async prepare(scene) {
      await scene.enqueue(...KEYED_PAIR)
      await scene.rescue(await scene.readOne('a'))
      await age(scene, await scene.read('a', 's'))
      return { header: { ...rescueHeader(scene, 's'), maxStalls: 1 } }
    },
  },
  {
    name: 'rescue: an entry deleted behind our back',
    script: 'rescue',
    async prepare(scene) {
      await scene.enqueue({}, {})
      const [held] = await scene.read('a', 'm', 2)
      await scene.namespace.command('XDEL', `${scene.namespace.prefix}q:${QUEUE}`, held?.entry ?? '')
      return { header: { ...rescueHeader(scene, 'm'), lease: 0 }, ends: [held?.id ?? ''] }
    },
  },
  {
    name: 'rescue: jobs without a handler',
    script: 'rescue',
    async prepare(scene) {
      await scene.enqueue({ type: 'y' }, { type: 'y' })
      for (const held of await scene.read('a', 'm', 2)) await scene.settle(held, { r: 'aside' })
      return { header: { ...rescueHeader(scene, 'ty'), grace: 0 } }
    },
  },
  {
    name: 'promote: jobs of every kind',
    script: 'promote',
    async prepare(scene) {
      await scene.enqueue({}, { key: 'held' }, { in: 1 }, { in: 1, key: 'held' }, { in: 1, key: 'free' }, { in: 1000 })
      await scene.settle(await scene.readOne('a'), { r: 'delayed', d: 1, a: true })
      scene.pass(1)
      return { header: { q: QUEUE, limit: 10 } }
    },
  },
  moveCase('cancels what waits', 'cancel', async (scene) => (await scene.enqueue({}))[0]),
  moveCase('cancels the holder of a key', 'cancel', async (scene) => (await scene.enqueue(...KEYED_PAIR))[0]),
  moveCase('cancels what waits for its key', 'cancel', async (scene) => (await scene.enqueue(...KEYED_PAIR))[1]),
  moveCase('cancels what is delayed', 'cancel', async (scene) => (await scene.enqueue({ in: 5, big: true }))[0]),
  moveCase(
    'cancels what waits, with a large payload',
    'cancel',
    async (scene) => (await scene.enqueue({ big: true }))[0],
  ),
  moveCase('cancels the holder of a key between attempts', 'cancel', async (scene) => {
    const [id] = await scene.enqueue(...KEYED_PAIR)
    await scene.settle(await scene.readOne('a'), { r: 'delayed', d: 5 })
    return id
  }),
  moveCase('cancels what was retried', 'cancel', async (scene) => {
    const [id] = await scene.enqueue({})
    await scene.settle(await scene.readOne('a'), { r: 'released' })
    return id
  }),
  moveCase('retries a dead letter', 'retry', async (scene) => {
    const [id] = await scene.enqueue({})
    await scene.settle(await scene.readOne('a'), DEAD)
    return id
  }),
  moveCase('retries a dead letter whose key is free', 'retry', async (scene) => {
    const [id] = await scene.enqueue({ key: 'k' })
    await scene.settle(await scene.readOne('a'), DEAD)
    return id
  }),
  moveCase('retries a dead letter whose key is held', 'retry', async (scene) => {
    const [id] = await scene.enqueue(...KEYED_PAIR)
    await scene.settle(await scene.readOne('a'), DEAD)
    return id
  }),
  moveCase('retries a dead letter once more, after the first time failed half way', 'retry', async (scene) => {
    const [id] = await scene.enqueue({})
    await scene.settle(await scene.readOne('a'), DEAD)
    const { records } = await scene.namespace.look()
    const record = records.get(id ?? '')
    await scene.move('retry', id ?? '')
    const base = `${scene.namespace.prefix}q:${QUEUE}`
    await scene.namespace.command('HSET', `${base}:recs`, id ?? '', `${record?.flags}\nx\n{}\nnull`)
    await scene.namespace.command('ZADD', `${base}:dead`, '1', id ?? '')
    return id
  }),
  ...(['retry', 'cancel', 'purge'] as const).map((to) =>
    moveCase(`${to} of a dead letter that keeps its key`, to, async (scene) => {
      const [id] = await scene.enqueue(...BLOCKING_PAIR)
      await scene.settle(await scene.readOne('a'), DEAD)
      return id
    }),
  ),
  moveCase('purges a dead letter', 'purge', async (scene) => {
    const [id] = await scene.enqueue({ big: true })
    await scene.settle(await scene.readOne('a'), DEAD)
    return id
  }),
  {
    name: 'adopt',
    script: 'adopt',
    async prepare(scene) {
      await scene.enqueue({}, {}, {}, { key: 'k' })
      const [first, second] = (await scene.read('a', 'm', 4)) as [Held, Held]
      await scene.namespace.command('XDEL', `${scene.namespace.prefix}q:${QUEUE}`, second.entry)
      return { header: { w: 'a', n: 2, c: 'a.2', q: QUEUE, s: 'm', limit: 10 }, args: [first.entry] }
    },
  },
  {
    name: 'release',
    script: 'release',
    async prepare(scene) {
      await scene.enqueue({}, {}, {})
      const held = await scene.read('a', 'm', 3)
      await scene.namespace.command('XDEL', `${scene.namespace.prefix}q:${QUEUE}`, held[1]?.entry ?? '')
      const args = held.flatMap(({ letter, entry }) => [`1${letter}`, entry, ''])
      return { header: { w: 'a', c: 'a.1', q: [QUEUE], n: 3 }, args }
    },
  },
  {
    name: 'renew',
    script: 'renew',
    async prepare(scene) {
      await scene.enqueue({})
      const { letter, entry } = await scene.readOne('a')
      return { header: { w: 'a', c: 'a.1', q: [QUEUE], n: 1 }, args: [`1${letter}`, entry] }
    },
  },
  {
    name: 'open: another life of the server',
    script: 'open',
    async prepare(scene) {
      await scene.enqueue({}, { key: 'k' })
      await scene.read('a', 'm', 1)
      return { header: { pair: 'other', queues: [QUEUE], groups: true } }
    },
  },
  {
    name: 'open: the first time, with another queue',
    script: 'open',
    async prepare(scene) {
      await scene.namespace.flush()
      return { header: { pair: 'first', queues: [QUEUE], groups: true } }
    },
  },
  {
    name: 'open: a life that is known, by a process that was told more',
    script: 'open',
    async prepare(scene) {
      await scene.enqueue({})
      return { header: { pair: scene.pair, queues: [], groups: false, seen: scene.namespace.nowMs + 1_000 } }
    },
  },
  {
    name: 'beat',
    script: 'beat',
    async prepare(scene) {
      await scene.enqueue({}, {}, { type: 'y' })
      for (const worker of ['a', 'b', 'c'])
        await scene.namespace.run('beat', { w: worker, about: '{}', queues: [QUEUE], lease: 2 })
      for (const held of await scene.read('a', 'm', 3)) {
        if (held.id.endsWith('-2')) await scene.settle(held, { r: 'aside' })
        else await scene.rescue(held)
      }
      await scene.read('b', 's')
      scene.pass(100)
      return { header: { w: 'c', about: '{}', queues: [QUEUE], lease: 2 } }
    },
  },
  {
    name: 'beat: the turn to run a job alone',
    script: 'beat',
    async prepare(scene) {
      await scene.enqueue({})
      await scene.rescue(await scene.readOne('a'))
      await scene.rescue(await scene.readOne('a', 's'))
      return { header: { w: 'c', about: '{}', queues: [QUEUE], lease: 2, alone: true } }
    },
  },
  {
    name: 'beat: a worker leaves',
    script: 'beat',
    async prepare(scene) {
      await scene.enqueue({})
      await scene.namespace.run('beat', { w: 'a', about: '{}', queues: [QUEUE], lease: 2 })
      await scene.read('a', 'm')
      return { header: { w: 'a', queues: [], gone: 0 } }
    },
  },
  {
    name: 'count',
    script: 'count',
    async prepare(scene) {
      await scene.enqueue({}, {}, { type: 'y' }, { in: 5 })
      const [held] = await scene.read('a', 'm')
      if (held) await scene.settle(held, { r: 'aside' })
      return { header: { queues: [QUEUE] } }
    },
  },
  {
    name: 'lose',
    script: 'lose',
    async prepare(scene) {
      await scene.enqueue({})
      return { header: { boot: '1-0', q: QUEUE, lost: 1, from: 1, to: 2 } }
    },
  },
  {
    name: 'acknowledge',
    script: 'acknowledge',
    async prepare(scene) {
      await scene.enqueue({})
      await scene.namespace.run('lose', { boot: '1-0', q: QUEUE, lost: 1, from: 1, to: 2 })
      return { header: { by: 'anna' } }
    },
  },
]

function rescueHeader({ namespace: { nowMs } }: ScriptScene, letter: string): object {
  return {
    q: QUEUE,
    s: letter,
    lease: LEASE_MS,
    cursor: '0-0',
    limit: 10,
    consumer: 'r.1',
    maxStalls: 3,
    at: nowMs,
    within: 0,
  }
}

async function age(
  scene: ScriptScene,
  held: readonly { letter: string; entry: string; worker: string }[],
): Promise<void> {
  await scene.namespace.age(held.map(({ letter, entry, worker }) => ({ letter, entry, owner: `${worker}.1` })))
}
