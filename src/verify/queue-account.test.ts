import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type Fetched, QueueScene } from '../../test/support/queue-scene.ts'
import { type RedisServer, startRedis } from '../../test/support/redis-server.ts'
import { QueueReader } from '../queue/queue-reader.ts'
import type { FindingKind } from './finding.ts'
import { accountQueues } from './queue-account.ts'

let redis: RedisServer
before(async () => {
  redis = await startRedis()
})
after(() => redis.stop())

let scenes = 0
async function openScene() {
  const scene = await QueueScene.open(redis.url, `verify${++scenes}`)
  const reader = new QueueReader(scene.namespace, scene.openNamespace)
  return { scene, reader, [Symbol.dispose]: () => scene.close() }
}

/** A job in every state: the ground on which a fault is planted. */
async function fill(scene: QueueScene) {
  const [done, dead, active, , waiting] = await scene.enqueue('default', [{}, {}, {}, {}, {}])
  const [one, two, , four] = await scene.fetch('default', 4)
  assert.ok(one && two && four)
  await scene.settle('default', [one], { r: 'completed' })
  await scene.bury('default', [two])
  await scene.settle('default', [four], { r: 'delayed', d: 60_000, a: true })
  const [delayed, holder, gated] = await scene.enqueue('default', [{ in: 60_000 }, { key: 'a b' }, { key: 'a b' }])
  assert.ok(done && dead && active && waiting && delayed && holder && gated)
  return { done, dead, active, waiting, retried: four.place, delayed, holder, gated }
}

test('finds nothing where everything is in its place', async () => {
  using it = await openScene()
  await fill(it.scene)
  const { queues, findings } = await accountQueues(it.reader)
  assert.deepEqual(findings, [])
  assert.deepEqual(queues, [{ queue: 'default', accepted: 8, accounted: 8, walked: 7 }])
})

type Places = Awaited<ReturnType<typeof fill>>
type Fault = {
  name: string
  plant: (scene: QueueScene, jobs: Places) => Promise<unknown>
  /** What is named, with the job where one is known. */
  named: [FindingKind, keyof Places | undefined][]
  /** Whether the fixes that are named, carried out, leave nothing to find. */
  isMendable?: false
}

const entryOf = async (scene: QueueScene, place: string) =>
  (await scene.command<string>('HGET', ':q:default:where', place)).split(':')[1] ?? ''

const FAULTS: Fault[] = [
  {
    name: 'a waiting job that was deleted',
    plant: (scene, { waiting }) => scene.command('XDEL', ':q:default', waiting),
    named: [['count_differs', undefined]],
    isMendable: false,
  },
  {
    name: 'an active job that was deleted behind its worker',
    plant: (scene, { active }) => scene.command('XDEL', ':q:default', active),
    named: [
      ['count_differs', undefined],
      ['pending_without_entry', 'active'],
    ],
    isMendable: false,
  },
  {
    name: 'an entry that was delivered and is with nobody',
    plant: (scene, { active }) => scene.command('XACK', ':q:default', 'w', active),
    named: [['entry_in_limbo', 'active']],
  },
  {
    name: 'a delayed job whose name is gone',
    plant: (scene, { delayed }) => scene.command('ZREM', ':q:default:later', delayed),
    named: [['record_nowhere', 'delayed']],
  },
  {
    name: 'a gated job whose name is gone',
    plant: (scene, { gated }) => scene.command('DEL', ':g:default:a b').then(() => gated),
    named: [['record_nowhere', 'gated']],
  },
  {
    name: 'a delayed job whose record is gone',
    plant: (scene, { retried }) => scene.command('HDEL', ':q:default:recs', retried),
    named: [
      ['count_differs', undefined],
      ['name_without_record', 'retried'],
    ],
    isMendable: false,
  },
  {
    name: 'a gated job whose record is gone',
    plant: (scene, { gated }) => scene.command('HDEL', ':q:default:recs', gated),
    named: [
      ['count_differs', undefined],
      ['name_without_record', 'gated'],
    ],
    isMendable: false,
  },
  {
    name: 'a job that is delayed and dead',
    plant: (scene, { dead }) => scene.command('ZADD', ':q:default:later', '99999999999999', dead),
    named: [['job_in_two_places', 'dead']],
    isMendable: false,
  },
  {
    name: 'a job that waits twice for its key',
    plant: (scene, { gated }) => scene.command('RPUSH', ':g:default:a b', gated),
    named: [['job_in_two_places', 'gated']],
    isMendable: false,
  },
  {
    name: 'a job that stands in two streams',
    plant: async (scene, { holder }) =>
      scene.command(
        'XADD',
        ':q:default:front',
        '*',
        't',
        'test.job',
        'o',
        JSON.stringify({ i: holder, k: 'a b' }),
        'd',
        '1',
      ),
    named: [
      ['count_differs', undefined],
      ['job_in_two_places', 'holder'],
    ],
    isMendable: false,
  },
  {
    name: 'a record of a job that waits in a stream',
    plant: (scene, { waiting }) => scene.command('HSET', ':q:default:recs', waiting, '\ntest.job\n\nnull'),
    named: [
      ['count_differs', undefined],
      ['record_nowhere', 'waiting'],
    ],
  },
  {
    name: 'a job that cannot be found by its id',
    plant: (scene, { holder }) => scene.command('HDEL', ':q:default:where', holder),
    named: [
      ['entry_without_where', 'holder'],
      ['slot_without_job', 'holder'],
    ],
    isMendable: false,
  },
  {
    name: 'a note that points to nothing',
    plant: (scene, { done }) => scene.command('HSET', ':q:default:where', done, 'f:1-1'),
    named: [['where_points_nowhere', 'done']],
  },
  {
    name: "a note that points to another job's entry",
    plant: (scene, { delayed, waiting }) => scene.command('HSET', ':q:default:where', delayed, `m:${waiting}`),
    named: [['where_points_nowhere', 'delayed']],
  },
  {
    name: 'a job of a key that vanished with its key held',
    plant: async (scene, { holder }) => {
      await scene.command('XDEL', ':q:default', await entryOf(scene, holder))
      await scene.command('HDEL', ':q:default:where', holder)
    },
    named: [
      ['count_differs', undefined],
      ['slot_without_job', 'holder'],
    ],
    isMendable: false,
  },
  {
    name: 'jobs that wait for a key that nobody holds',
    plant: (scene) => scene.command('HDEL', ':q:default:slots', 'a b'),
    named: [['gate_without_holder', 'gated']],
  },
  {
    name: 'a large payload that is gone',
    plant: async (scene) => {
      const id = 'gLLLLLLLLLLLLLLLLLLLL'
      const control = JSON.stringify({ i: id, big: true })
      await scene.run('enqueue', { q: 'default', n: 1 }, 't', JSON.stringify({ i: id, p: 5 }), '12345', control)
      await scene.command('DEL', `:p:default:${id}`)
    },
    named: [['payload_missing', undefined]],
    isMendable: false,
  },
  {
    name: 'a large payload of a job that is gone',
    plant: (scene, { done }) => scene.command('SET', `:p:default:${done}`, 'x'),
    named: [['payload_without_job', 'done']],
  },
  {
    name: 'a queue that is not listed',
    plant: async (scene) => {
      await scene.enqueue('mail', [{}])
      await scene.command('SREM', ':queues', 'mail')
    },
    named: [['queue_not_listed', undefined]],
  },
  {
    name: 'jobs that the server forgot',
    plant: (scene) => scene.run('lose', { boot: '7-0', q: 'default', lost: 3, from: 1_000, to: 2_000 }),
    named: [['redis_forgot', undefined]],
  },
]

for (const { name, plant, named, isMendable = true } of FAULTS) {
  test(`names ${name}`, async () => {
    using it = await openScene()
    const jobs = await fill(it.scene)
    await plant(it.scene, jobs)
    const { findings } = await accountQueues(it.reader)
    const found = findings.map(({ kind, id }) => [kind, kind === 'payload_missing' ? undefined : id])
    const expected = named.map(([kind, job]) => [kind, job && `default.0.${jobs[job]}`])
    assert.deepEqual(found.toSorted(byText), expected.toSorted(byText), JSON.stringify(findings, undefined, 2))
    if (!isMendable) return
    for (const { fix } of findings) for (const args of redisCommands(fix)) await it.scene.command(...args)
    assert.deepEqual((await accountQueues(it.reader)).findings, [])
  })
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
    const kinds = [{}, { key: `k${round % 3}` }, { in: round % 20 }, { key: `k${round % 5}`, in: 3 }]
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
