import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type RedisServer, startRedis } from '../../test/support/redis-server.ts'
import { silentLogger } from '../logger.ts'
import { Connection } from '../redis/connection.ts'
import { type Loss, LossDetector } from './loss-detector.ts'
import { NamespaceConnection, openNamespace } from './namespace.ts'

let redis: RedisServer
before(async () => {
  redis = await startRedis()
})
after(() => redis.stop())

let scenes = 0

/** A namespace whose server lived several times: life -> jobs of the queue `default` accepted at its beginning. It is now in the last. */
async function openAfter(lives: Record<string, number>) {
  const namespace = `loss${++scenes}`
  const connection = await Connection.open({ url: redis.url }, 'test')
  const { prefix, clockOffsetMs } = await openNamespace(connection, namespace, {
    queues: ['default'],
    makeGroups: false,
  })
  await connection.send(['DEL', `${prefix}boots`])
  for (const [boot, accepted] of Object.entries(lives)) {
    const counts = JSON.stringify({ default: [accepted, Number.parseInt(boot, 10)] })
    await connection.send(['XADD', `${prefix}boots`, boot, 'pair', boot, 'accepted', counts, 'at', '0'])
  }
  const bootId = Object.keys(lives).at(-1) ?? ''
  const losses: Loss[] = []
  const detector = new LossDetector(silentLogger, (loss) => losses.push(loss))
  return {
    detector,
    losses,
    open: new NamespaceConnection(connection, prefix, bootId, clockOffsetMs),
    [Symbol.dispose]: () => connection.destroy(),
  }
}

test('loss is counted against the life after its own, not against the latest: later ones counted new jobs on top', async () => {
  using it = await openAfter({ '100-0': 0, '200-0': 100, '300-0': 150 })
  it.detector.saw('default', '100-0', 105, 190)
  const loss = { queue: 'default', lost: 5, from: new Date(200), to: new Date(190) }
  assert.deepEqual([await it.detector.compare(it.open), it.losses], [[loss], [loss]])
  assert.deepEqual(await it.detector.compare(it.open), []) // told once
})

test('each life is compared with the one after it', async () => {
  using it = await openAfter({ '100-0': 0, '200-0': 100, '300-0': 150 })
  it.detector.saw('default', '100-0', 100, 190)
  it.detector.saw('default', '200-0', 157, 290)
  it.detector.saw('default', '300-0', 900, 390) // the life that goes on
  assert.deepEqual(
    (await it.detector.compare(it.open)).map(({ lost, from }) => [lost, from.getTime()]),
    [[7, 300]],
  )
})

test('a life that the server itself forgot is compared with the first that began after it', async () => {
  using it = await openAfter({ '100-0': 0, '300-0': 90 })
  it.detector.saw('default', '200-0', 96, 290)
  assert.deepEqual(
    (await it.detector.compare(it.open)).map(({ lost }) => lost),
    [6],
  )
})

test('a mark that arrives while a comparison fails is kept when it is the higher one', async () => {
  using it = await openAfter({ '100-0': 0, '200-0': 100 })
  const broken = await Connection.open({ url: redis.url }, 'test')
  broken.destroy()
  const failing = new NamespaceConnection(broken, it.open.prefix, it.open.bootId, 0)
  for (const [first, late] of [
    [105, 120],
    [130, 125],
  ] as const) {
    it.detector.saw('default', '100-0', first, 180)
    const failed = assert.rejects(it.detector.compare(failing))
    it.detector.saw('default', '100-0', late, 190) // a late reply
    await failed
    assert.equal((await it.detector.compare(it.open))[0]?.lost, Math.max(first, late) - 100)
  }
})

test('what was told before a comparison failed is not told again', async () => {
  using it = await openAfter({ '100-0': 0, '200-0': 100 })
  const breaking = await Connection.open({ url: redis.url }, 'test')
  const told: string[] = []
  const detector = new LossDetector(silentLogger, ({ queue, lost }) => {
    told.push(`${queue} ${lost}`)
    breaking.destroy()
  })
  detector.saw('default', '100-0', 105, 190)
  detector.saw('mail', '100-0', 7, 190)
  await assert.rejects(detector.compare(new NamespaceConnection(breaking, it.open.prefix, it.open.bootId, 0)))
  await detector.compare(it.open)
  assert.deepEqual(told, ['default 5', 'mail 7'])
})

test('a listener that throws does not keep the process from working', async () => {
  using it = await openAfter({ '100-0': 0, '200-0': 100 })
  const logged: string[] = []
  const log = { ...silentLogger, error: (_: object, message: string) => void logged.push(message) }
  const detector = new LossDetector(log, () => {
    throw new Error('out of beans')
  })
  detector.saw('default', '100-0', 105, 190)
  assert.equal((await detector.compare(it.open)).length, 1)
  assert.deepEqual(logged, ['Redis forgot 5 accepted jobs of queue default', 'onLoss threw'])
})
