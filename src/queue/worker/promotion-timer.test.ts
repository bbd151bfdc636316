import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { QueueScene } from '../../../test/support/queue-scene.ts'
import { type RedisServer, startRedis } from '../../../test/support/redis-server.ts'
import { waitFor } from '../../../test/support/wait-for.ts'
import type { NamespaceConnection } from '../namespace.ts'
import { PromotionTimer } from './promotion-timer.ts'

let redis: RedisServer
before(async () => {
  redis = await startRedis()
})
after(() => redis.stop())

let scenes = 0

/** A timer that runs on a namespace of its own. Its first look is done. */
async function startTimer(wrap: (open: NamespaceConnection) => NamespaceConnection | undefined = (open) => open) {
  const scene = await QueueScene.open(redis.url, `promote${++scenes}`, ['default', 'long'])
  const open = wrap(await scene.openNamespace())
  const stop = new AbortController()
  const state = { promotions: 0 }
  const timer = new PromotionTimer({
    queues: ['default', 'long'],
    connection: () => open,
    onSuccess: () => {
      state.promotions++
    },
  })
  timer.start(stop.signal)
  if (open) await waitFor(() => state.promotions >= 2)
  const front = (queue = 'default') => scene.command<number>('XLEN', `:q:${queue}:front`)
  return {
    scene,
    timer,
    stop,
    state,
    front,
    [Symbol.dispose]() {
      stop.abort()
      scene.close()
    },
  }
}

test('promotes what is due when it starts, more than one batch of it', async () => {
  const scene = await QueueScene.open(redis.url, `promote${scenes + 1}`, ['default'])
  await scene.enqueue(
    'default',
    Array.from({ length: 2_300 }, () => ({ in: 1 })),
  )
  scene.close()
  using it = await startTimer()
  await waitFor(async () => (await it.front()) === 2_300)
  assert.equal(await it.scene.command('ZCARD', ':q:default:later'), 0)
})

test('promotes at the instant that it is told of, without waiting for its next look', async () => {
  using it = await startTimer()
  const from = performance.now()
  await it.scene.enqueue('default', [{ in: 20 }])
  await it.scene.enqueue('long', [{ in: 30 }])
  const due = await it.scene.serverMs()
  it.timer.wake(`default ${due + 20}`)
  it.timer.wake(`long ${due + 30}`)
  await waitFor(async () => (await it.front()) + (await it.front('long')) === 2)
  // The next regular look is 0.9 s away at the earliest.
  assert.ok(performance.now() - from < 800)
})

test('finds by itself what it was not told of', async () => {
  using it = await startTimer()
  await it.scene.enqueue('default', [{ in: 1 }])
  await waitFor(async () => (await it.front()) === 1)
})

test('follows the head of the delayed jobs once it knows it', async () => {
  using it = await startTimer()
  const from = performance.now()
  await it.scene.enqueue('default', [{ in: 10 }, { in: 40 }, { in: 70 }])
  it.timer.lookNow()
  await waitFor(async () => (await it.front()) === 3)
  assert.ok(performance.now() - from < 800)
})

test('a wake-up of a queue that is not served, or without sense, does no harm', async () => {
  using it = await startTimer()
  for (const message of ['mail 5', '', 'default', 'default x']) it.timer.wake(message)
  await it.scene.enqueue('default', [{ in: 1 }])
  it.timer.lookNow()
  await waitFor(async () => (await it.front()) === 1)
})

test('a job due in months costs no more than the regular looks', async () => {
  using it = await startTimer()
  await it.scene.enqueue('default', [{ in: 60 * 86_400_000 }])
  it.timer.lookNow()
  const before = it.state.promotions
  await it.scene.enqueue('long', [{ in: 100 }])
  it.timer.wake(`long ${(await it.scene.serverMs()) + 100}`)
  await waitFor(async () => (await it.front('long')) === 1)
  assert.ok(it.state.promotions - before < 10, `${it.state.promotions - before} promotions`)
})

test('what falls due while a promotion is under way is promoted right after it', async () => {
  let hold: Promise<void> | undefined
  let held = 0
  using it = await startTimer((open) => {
    const run = async (...args: Parameters<NamespaceConnection['connection']['run']>) => {
      const reply = await open.connection.run(...args)
      if (hold) held++
      await hold
      return reply
    }
    return { prefix: open.prefix, connection: { run } } as unknown as NamespaceConnection
  })
  const { promise, resolve } = Promise.withResolvers<void>()
  hold = promise
  it.timer.lookNow()
  await waitFor(() => held >= 2) // both queues: the scripts have run, the answers are under way
  const from = performance.now()
  await it.scene.enqueue('default', [{ in: 1 }])
  await it.scene.pass(2)
  it.timer.wake(`default ${await it.scene.serverMs()}`)
  await it.scene.pass(5) // the timer of the wake-up fires and finds a promotion under way
  hold = undefined
  resolve()
  await waitFor(async () => (await it.front()) === 1)
  assert.ok(performance.now() - from < 800)
})

test('a server that refuses is asked again', async () => {
  let refusals = 2 // the first look, at both queues
  using it = await startTimer((open) => {
    const run = (...args: Parameters<NamespaceConnection['connection']['run']>) => {
      return refusals-- > 0 ? Promise.reject(new Error('not now')) : open.connection.run(...args)
    }
    return { prefix: open.prefix, connection: { run } } as unknown as NamespaceConnection
  })
  await it.scene.enqueue('default', [{ in: 1 }])
  it.timer.lookNow()
  await waitFor(async () => (await it.front()) === 1)
})

test('waits without a connection, and ends when it is told to', async () => {
  using unconnected = await startTimer(() => undefined)
  unconnected.timer.lookNow()
  using it = await startTimer()
  it.stop.abort()
  const { promotions } = it.state
  await it.scene.enqueue('default', [{ in: 1 }])
  await it.scene.pass(2)
  it.timer.wake(`default ${await it.scene.serverMs()}`)
  it.timer.lookNow()
  await it.scene.pass(20)
  assert.deepEqual([it.state.promotions, unconnected.state.promotions], [promotions, 0])
})
