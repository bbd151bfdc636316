import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Inspector } from '../queue/inspector/inspector.ts'
import { type Fetched, QueueScene } from '../../test/support/queue-scene.ts'
import { type RedisServer, startRedis } from '../../test/support/redis-server.ts'
import { QueueReader } from '../queue/inspector/queue-reader.ts'
import type { FindingKind } from './finding.ts'
import { accountQueues } from './queue-account.ts'

let redis: RedisServer
before(async () => {
  redis = await startRedis()
})
after(() => redis.stop())

/** In the order in which they are looked at. */
const QUEUES = ['default', 'second'] as const
type Queue = (typeof QUEUES)[number]

let scenes = 0
async function openScene() {
  const scene = await QueueScene.open(redis.url, `verify${++scenes}`, QUEUES)
  const reader = new QueueReader(scene.namespace, scene.openNamespace)
  return { scene, reader, [Symbol.dispose]: () => scene.close() }
}

const JOBS_EACH = 12

/** A job in every state and every stream: the ground on which a fault is planted. */
async function fill(scene: QueueScene, queue: Queue) {
  const [front, suspect, alone, side] = await fillStreams(scene, queue)
  const [done, dead, active, , waiting] = await scene.enqueue(queue, [{}, {}, {}, {}, {}])
  const [one, two, , four] = await scene.fetch(queue, 4)
  assert.ok(one && two && four)
  await scene.settle(queue, [one], { r: 'completed' })
  await scene.bury(queue, [two])
  await scene.settle(queue, [four], { r: 'delayed', d: 60_000, a: true })
  const [delayed, holder, gated] = await scene.enqueue(queue, [{ in: 60_000 }, { key: 'a b' }, { key: 'a b' }])
  assert.ok(done && dead && active && waiting && delayed && holder && gated)
  assert.ok(front && suspect && alone && side)
  return { done, dead, active, waiting, retried: four.place, delayed, holder, gated, front, suspect, alone, side }
}

/** The streams beside the main one, with the key of each. */
const STREAMS = {
  front: { letter: 'f', key: ':front' },
  suspect: { letter: 's', key: ':suspect' },
  alone: { letter: 'a', key: ':alone' },
  side: { letter: 'ttest.job', key: ':t:test.job' },
} as const

/** An active job in each of them. */
async function fillStreams(scene: QueueScene, queue: Queue): Promise<string[]> {
  const places = await scene.enqueue(queue, [{}, { options: { s: 1 } }, { options: { s: 1, c: 1 } }, {}])
  const fetched = await scene.fetch(queue, 4)
  await scene.settle(queue, fetched.slice(0, 3), { r: 'released' })
  await scene.settle(queue, fetched.slice(3), { r: 'aside' })
  for (const [index, { letter }] of Object.values(STREAMS).entries()) {
    assert.deepEqual(
      (await scene.fetch(queue, 9, letter)).map(({ place }) => place),
      [places[index]],
    )
  }
  return places
}

test('finds nothing wrong with jobs behind a dead letter that keeps its key', async () => {
  using it = await openScene()
  const [dead] = await it.scene.enqueue('default', [{ key: 'k', options: { b: 1 } }, { key: 'k' }, { key: 'k' }])
  const [lone] = await it.scene.enqueue('default', [{ key: 'lone', options: { b: 1 } }])
  await it.scene.bury('default', await it.scene.fetch('default', 9))
  const look = async () => {
    const { queues, findings } = await accountQueues(it.reader)
    assert.deepEqual(findings, [])
    return queues.find(({ queue }) => queue === 'default')
  }
  assert.deepEqual(await look(), { queue: 'default', accepted: 4, accounted: 4, walked: 4 })
  await it.scene.run('move', { q: 'default', to: 'retry', n: 1 }, lone ?? '')
  await it.scene.run('move', { q: 'default', to: 'cancel', n: 1 }, dead ?? '')
  assert.deepEqual(await look(), { queue: 'default', accepted: 4, accounted: 4, walked: 3 })
})

test('finds nothing where everything is in its place', async () => {
  using it = await openScene()
  for (const queue of QUEUES) await fill(it.scene, queue)
  const { queues, findings } = await accountQueues(it.reader)
  assert.deepEqual(findings, [])
  const each = { accepted: JOBS_EACH, accounted: JOBS_EACH, walked: JOBS_EACH - 1 }
  assert.deepEqual(
    queues,
    QUEUES.map((queue) => ({ queue, ...each })),
  )
})

type Places = Awaited<ReturnType<typeof fill>>
/** Where a fault is planted: a queue, the beginning of its keys' names, and the places of its jobs. */
type Ground = Places & { readonly scene: QueueScene; readonly queue: Queue; readonly base: string }
type Fault = {
  name: string
  plant: (ground: Ground) => Promise<unknown>
  /** What is named, with the job where one is known. */
  named: [FindingKind, keyof Places | undefined][]
  /** Whether the fixes that are named, carried out, leave nothing to find. */
  isMendable?: false
}

const entryOf = async ({ scene, base }: Ground, place: string) =>
  (await scene.command<string>('HGET', `${base}:where`, place)).split(':')[1] ?? ''

const FAULTS: Fault[] = [
  {
    name: 'a waiting job that was deleted',
    plant: ({ scene, base, waiting }) => scene.command('XDEL', base, waiting),
    named: [['count_differs', undefined]],
    isMendable: false,
  },
  {
    name: 'an active job that was deleted behind its worker',
    plant: ({ scene, base, active }) => scene.command('XDEL', base, active),
    named: [
      ['count_differs', undefined],
      ['pending_without_entry', 'active'],
    ],
    isMendable: false,
  },
  {
    name: 'an entry that was delivered and is with nobody',
    plant: ({ scene, base, active }) => scene.command('XACK', base, 'w', active),
    named: [['entry_in_limbo', 'active']],
  },
  {
    name: 'a delayed job whose name is gone',
    plant: ({ scene, base, delayed }) => scene.command('ZREM', `${base}:later`, delayed),
    named: [['record_nowhere', 'delayed']],
  },
  {
    name: 'a gated job whose name is gone',
    plant: ({ scene, queue, gated }) => scene.command('DEL', `:g:${queue}:a b`).then(() => gated),
    named: [['record_nowhere', 'gated']],
  },
  {
    name: 'a delayed job whose record is gone',
    plant: ({ scene, base, retried }) => scene.command('HDEL', `${base}:recs`, retried),
    named: [
      ['count_differs', undefined],
      ['name_without_record', 'retried'],
    ],
    isMendable: false,
  },
  {
    name: 'a gated job whose record is gone',
    plant: ({ scene, base, gated }) => scene.command('HDEL', `${base}:recs`, gated),
    named: [
      ['count_differs', undefined],
      ['name_without_record', 'gated'],
    ],
    isMendable: false,
  },
  {
    name: 'a job that is delayed and dead',
    plant: ({ scene, base, dead }) => scene.command('ZADD', `${base}:later`, '99999999999999', dead),
    named: [['job_in_two_places', 'dead']],
    isMendable: false,
  },
  {
    name: 'a job that waits twice for its key',
    plant: ({ scene, queue, gated }) => scene.command('RPUSH', `:g:${queue}:a b`, gated),
    named: [['job_in_two_places', 'gated']],
    isMendable: false,
  },
  {
    name: 'a record of a job that waits in a stream',
    plant: ({ scene, base, waiting }) => scene.command('HSET', `${base}:recs`, waiting, '\ntest.job\n\nnull'),
    named: [
      ['count_differs', undefined],
      ['record_nowhere', 'waiting'],
    ],
  },
  {
    name: 'a job that cannot be found by its id',
    plant: ({ scene, base, holder }) => scene.command('HDEL', `${base}:where`, holder),
    named: [
      ['entry_without_where', 'holder'],
      ['slot_without_job', 'holder'],
    ],
    isMendable: false,
  },
  {
    name: 'a note that points to nothing',
    plant: ({ scene, base, done }) => scene.command('HSET', `${base}:where`, done, 'f:1-1'),
    named: [['where_points_nowhere', 'done']],
  },
  {
    name: "a note that points to another job's entry",
    plant: ({ scene, base, delayed, waiting }) => scene.command('HSET', `${base}:where`, delayed, `m:${waiting}`),
    named: [['where_points_nowhere', 'delayed']],
  },
  {
    name: 'a job of a key that vanished with its key held',
    plant: async (ground) => {
      const { scene, base, holder } = ground
      await scene.command('XDEL', base, await entryOf(ground, holder))
      await scene.command('HDEL', `${base}:where`, holder)
    },
    named: [
      ['count_differs', undefined],
      ['slot_without_job', 'holder'],
    ],
    isMendable: false,
  },
  {
    name: 'jobs that wait for a key that nobody holds',
    plant: ({ scene, base }) => scene.command('HDEL', `${base}:slots`, 'a b'),
    named: [['gate_without_holder', 'gated']],
  },
  {
    name: 'a key that is held by a dead letter which does not keep it',
    plant: async ({ scene, base, dead }) => scene.command('HSET', `${base}:slots`, 'a', dead),
    named: [['slot_without_job', 'dead']],
  },
  {
    name: 'a large payload that is gone',
    plant: async ({ scene, queue }) => {
      const id = 'gLLLLLLLLLLLLLLLLLLLL'
      const control = JSON.stringify({ i: id, big: true })
      await scene.run('enqueue', { q: queue, n: 1 }, 't', JSON.stringify({ i: id, p: 5 }), '12345', control)
      await scene.command('DEL', `:p:${queue}:${id}`)
    },
    named: [['payload_missing', undefined]],
    isMendable: false,
  },
  {
    name: 'a large payload of a job that is gone',
    plant: ({ scene, queue, done }) => scene.command('SET', `:p:${queue}:${done}`, 'x'),
    named: [['payload_without_job', 'done']],
  },
  {
    name: 'a queue that is not listed',
    plant: async ({ scene }) => {
      await scene.enqueue('mail', [{}])
      await scene.command('SREM', ':queues', 'mail')
    },
    named: [['queue_not_listed', undefined]],
  },
  {
    name: 'jobs that the server forgot',
    plant: ({ scene, queue }) => scene.run('lose', { boot: '7-0', q: queue, lost: 3, from: 1_000, to: 2_000 }),
    named: [['redis_forgot', undefined]],
  },
]

const IN_STREAMS: Fault[] = (['front', 'suspect', 'alone', 'side'] as const).flatMap((stream): Fault[] => {
  const { key } = STREAMS[stream]
  return [
    {
      name: `an entry (${stream}) that was delivered and is with nobody`,
      plant: async (ground) =>
        ground.scene.command('XACK', ground.base + key, 'w', await entryOf(ground, ground[stream])),
      named: [['entry_in_limbo', stream]],
    },
    {
      name: `a job of the main stream that stands in another one too (${stream})`,
      plant: ({ scene, base, holder }) => {
        const options = JSON.stringify({ i: holder, k: 'a b' })
        return scene.command('XADD', base + key, '*', 't', 'test.job', 'o', options, 'd', '1')
      },
      named: [
        ['count_differs', undefined],
        ['job_in_two_places', 'holder'],
      ],
      isMendable: false,
    },
    {
      name: `an active job (${stream}) that was deleted behind its worker, with the note where it stood`,
      plant: async (ground) => {
        const { scene, base } = ground
        await scene.command('XDEL', base + key, await entryOf(ground, ground[stream]))
        await scene.command('HDEL', `${base}:where`, ground[stream])
      },
      named: [
        ['count_differs', undefined],
        ['pending_without_entry', undefined],
      ],
      isMendable: false,
    },
  ]
})

for (const queue of QUEUES) {
  for (const { name, plant, named, isMendable = true } of [...FAULTS, ...IN_STREAMS]) {
    test(`names ${name}, in queue ${queue}`, async () => {
      using it = await openScene()
      const { scene, reader } = it
      const jobs = { default: await fill(scene, 'default'), second: await fill(scene, 'second') }[queue]
      await plant({ ...jobs, scene, queue, base: `:q:${queue}` })
      const { findings } = await accountQueues(reader)
      const found = findings.map(({ kind, id }) => [kind, kind === 'payload_missing' ? undefined : id])
      const expected = named.map(([kind, job]) => [kind, job && `${queue}.0.${jobs[job]}`])
      assert.deepEqual(found.toSorted(byText), expected.toSorted(byText), JSON.stringify(findings, undefined, 2))
      for (const finding of findings) assert.equal(finding.queue, finding.kind === 'queue_not_listed' ? 'mail' : queue)
      if (!isMendable) return
      for (const { fix } of findings) {
        for (const args of redisCommands(fix)) await scene.command(...args)
        if (fix.includes(`moca queue acknowledge-losses --queue ${queue}`)) {
          await new Inspector(reader).acknowledgeLosses({ by: 'test', queue })
        }
      }
      assert.deepEqual((await accountQueues(reader)).findings, [])
    })
  }
}

const byText = (a: unknown, b: unknown) => String(a).localeCompare(String(b))

/** The commands of a fix, as a shell would read them. */
function redisCommands(fix: string): string[][] {
  return [...fix.matchAll(/redis-cli((?: '[^']*'| [\w:.-]+(?![\w:.-]*\())+)/g)].map(([, text = '']) =>
    [...text.matchAll(/'([^']*)'|([\w:.-]+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? ''),
  )
}

test('tells how many and from when to when the server forgot', async () => {
  using it = await openScene()
  await it.scene.run('lose', { boot: '7-0', q: 'default', lost: 3, from: 0, to: 2_000 })
  const [finding] = (await accountQueues(it.reader)).findings
  assert.match(
    finding?.found ?? '',
    /at least 3 forgotten, accepted after 1970-01-01T00:00:00\.000Z and not later than 1970-01-01T00:00:02/,
  )
})

test('does not name what somebody says is known', async () => {
  using it = await openScene()
  await it.scene.run('lose', { boot: '7-0', q: 'default', lost: 3, from: 0, to: 2_000 })
  await new Inspector(it.reader).acknowledgeLosses({ by: 'anna' })
  assert.deepEqual((await accountQueues(it.reader)).findings, [])
})

test('stops naming one by one when everything is wrong', async () => {
  using it = await openScene()
  const { scene, reader } = it
  for (let batch = 0; batch < 2; batch++)
    await scene.enqueue(
      'default',
      Array.from({ length: 1_000 }, () => ({ in: 60_000 })),
    )
  await scene.command('DEL', ':q:default:later')
  const { findings } = await accountQueues(reader)
  assert.equal(findings.length, 1_001)
  assert.match(findings.at(-1)?.found ?? '', /^1000 more jobs/)
})

test('finds nothing false while jobs move', async () => {
  using it = await openScene()
  const { scene, reader } = it
  const traffic = new AbortController()
  const movers = [produce(scene, traffic.signal), work(scene, traffic.signal), operate(scene, traffic.signal)]
  const counted: number[] = []
  for (let round = 0; round < 15; round++) {
    const { findings, queues } = await accountQueues(reader)
    assert.deepEqual(findings, [])
    counted.push(queues[0]?.accepted ?? 0)
  }
  traffic.abort()
  await Promise.all(movers)
  assert.ok((counted.at(-1) ?? 0) > (counted[0] ?? 0) + 100, `jobs moved: ${counted}`)
  assert.deepEqual((await accountQueues(reader)).findings, [])
})

// Each mover has a connection of its own, so that its commands come between those of the others.
async function withOwn(
  scene: QueueScene,
  signal: AbortSignal,
  move: (own: QueueScene, round: number) => Promise<unknown>,
) {
  const own = await QueueScene.open(redis.url, scene.namespace)
  try {
    for (let round = 0; !signal.aborted; round++) await move(own, round)
  } finally {
    own.close()
  }
}

function produce(scene: QueueScene, signal: AbortSignal) {
  return withOwn(scene, signal, async (own, round) => {
    const { waiting = 0 } =
      (await new QueueReader(own.namespace, own.openNamespace).look(['default'])).queues.default ?? {}
    if (waiting > 2_000) return // a backlog of several pages is enough; more would only slow the walk down
    const block = { options: { b: 1 } }
    const kinds = [{}, { key: `k${round % 3}`, ...block }, { in: round % 20 }, { key: `k${round % 5}`, in: 3 }]
    await own.enqueue(
      'default',
      Array.from({ length: 40 }, (_, index) => kinds[index % kinds.length] ?? {}),
    )
  })
}

function work(scene: QueueScene, signal: AbortSignal) {
  return withOwn(scene, signal, async (own, round) => {
    await own.run('promote', { q: 'default', limit: 100 })
    const fetched: Fetched[] = []
    for (const letter of ['m', 'f', 's', 'a'] as const) fetched.push(...(await own.fetch('default', 15, letter)))
    const part = (index: number) => fetched.filter((_, at) => at % 8 === index)
    await own.settle('default', part(0), { r: 'delayed', d: round % 7, a: true })
    await own.settle('default', part(1), { r: 'released' })
    await own.bury('default', part(2))
    await own.settle('default', part(3), { r: 'cancelled' })
    const page = { q: 'default', s: 'm', lease: 0, cursor: '0-0', limit: 2, consumer: 'w1.1', maxStalls: 3 }
    await own.run('rescue', { ...page, at: await own.serverMs(), within: 10_000 })
    await own.settle('default', [4, 5, 6, 7].flatMap(part), { r: 'completed' })
  })
}

function operate(scene: QueueScene, signal: AbortSignal) {
  return withOwn(scene, signal, async (own, round) => {
    const dead = await own.command<string[]>('ZRANGE', ':q:default:dead', '0', '9')
    if (dead.length > 0)
      await own.run('move', { q: 'default', to: round % 2 === 0 ? 'retry' : 'purge', n: dead.length }, ...dead)
    const gated = await own.command<string[]>('LRANGE', ':g:default:k1', '0', '2')
    if (gated.length > 0) await own.run('move', { q: 'default', to: 'cancel', n: gated.length }, ...gated)
  })
}
