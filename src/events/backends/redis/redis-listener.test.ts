import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { proxiedRedis } from '../../../../test/support/proxied-redis.ts'
import { waitFor } from '../../../../test/support/wait-for.ts'
import { ConnectionError, OptionError } from '../../../errors.ts'
import { silentLogger } from '../../../logger.ts'
import type { Gap } from '../../event-backend.ts'
import { RedisListener } from './redis-listener.ts'

const servers = proxiedRedis()

let namespaces = 0
function open(t: TestContext, url = servers.proxy.url, replyTimeoutMs = 300) {
  const prefix = `{moca:listener${++namespaces}}:`
  const listener = new RedisListener({
    options: { url, connectTimeoutMs: 1_000, replyTimeoutMs },
    prefix,
    name: `listener${namespaces}`,
    log: silentLogger,
  })
  t.after(() => listener.close())
  /** Returns how many connections heard it. */
  const publish = async (topic: string, text = '{}') =>
    Number(await servers.redis.cli(['PUBLISH', `${prefix}events:${topic}`, text]))
  return { listener, publish, name: `listener${namespaces}` }
}

/** Somebody who writes down what is heard. */
function ear() {
  const heard: string[] = []
  const gaps: Gap[] = []
  return {
    heard,
    gaps,
    onEvent: ({ topic, text }: { topic: string; text: string }) => void heard.push(`${topic} ${text}`),
    onGap: (gap: Gap) => void gaps.push(gap),
  }
}

test('hears what is published from now on, by name, by beginning, or all', async (t) => {
  const { listener, publish } = open(t)
  assert.equal(await publish('shop.orders', 'before'), 0)
  const [name, beginning, all, both] = [ear(), ear(), ear(), ear()]
  await listener.listen(['shop.orders', 'mail'], name)
  await listener.listen(['shop.*'], beginning)
  await listener.listen(['*'], all)
  await listener.listen(['shop.*', 'shop.orders'], both)
  for (const topic of ['shop.orders', 'shop.orders.old', 'mail', 'shopping']) await publish(topic, 'x')
  await waitFor(() => all.heard.length === 4)
  assert.deepEqual(name.heard, ['shop.orders x', 'mail x'])
  assert.deepEqual(beginning.heard, ['shop.orders x', 'shop.orders.old x'])
  assert.deepEqual(both.heard.toSorted(), ['shop.orders x', 'shop.orders.old x'])
  assert.deepEqual(all.heard, ['shop.orders x', 'shop.orders.old x', 'mail x', 'shopping x'])
})

test('hears nothing once it stopped, and lets the server go where nobody listens any more', async (t) => {
  const { listener, publish } = open(t)
  const [first, second, third] = [ear(), ear(), ear()]
  const listening = await listener.listen(['a'], first)
  const also = await listener.listen(['a'], second)
  const pattern = await listener.listen(['b.*'], third)
  assert.equal(await publish('a'), 2) // the channel, and the pattern
  await waitFor(() => second.heard.length === 1)
  await listening.stop()
  await listening.stop()
  await publish('a')
  await waitFor(() => second.heard.length === 2)
  assert.equal(first.heard.length, 1)
  await also.stop()
  assert.equal(await publish('a'), 1)
  await pattern.stop()
  assert.equal(await publish('a'), 0)
  await listener.listen(['a'], first)
  assert.equal(await publish('a'), 1)
  await waitFor(() => first.heard.length === 2)
})

test('goes on after a cut, and tells everybody between which instants it may have missed something', async (t) => {
  const { listener, publish } = open(t)
  const ears = [ear(), ear()]
  for (const each of ears) await listener.listen(['a', 'b.*'], each)
  await publish('a', '1')
  await waitFor(() => ears.every(({ heard }) => heard.length === 1))
  const cutAtMs = Date.now()
  servers.proxy.cut()
  await waitFor(() => ears.every(({ gaps }) => gaps.length === 1))
  await publish('a', '2')
  await publish('b.c', '3')
  await waitFor(() => ears.every(({ heard }) => heard.length === 3))
  for (const { heard, gaps } of ears) {
    assert.deepEqual(heard, ['a 1', 'a 2', 'b.c 3'])
    const [gap] = gaps as [Gap]
    assert.ok(gap.from.getTime() <= cutAtMs && gap.to.getTime() >= cutAtMs, JSON.stringify(gap))
  }
})

test('a connection that hangs is replaced, and the gap begins before it hung', async (t) => {
  const { listener, publish, name } = open(t)
  const one = ear()
  await listener.listen(['a'], one)
  const hungAtMs = Date.now()
  servers.proxy.setFaults({ kind: 'hole', isForOldOnly: true, name: new RegExp(name) })
  t.after(() => servers.proxy.setFaults())
  await publish('a', 'lost')
  await waitFor(() => one.gaps.length === 1, { timeoutMs: 10_000 })
  assert.ok((one.gaps[0]?.from.getTime() ?? Infinity) <= hungAtMs)
  await publish('a', 'heard')
  await waitFor(() => one.heard.includes('a heard'))
  assert.deepEqual(one.heard, ['a heard'])
})

test('what a listener throws does not keep an event from the others', async (t) => {
  const { listener, publish } = open(t)
  const one = ear()
  const thrower = { onEvent: () => assert.fail('listener'), onGap: () => assert.fail('gap') }
  await listener.listen(['a'], thrower)
  await listener.listen(['a'], one)
  await publish('a')
  await waitFor(() => one.heard.length === 1)
  servers.proxy.cut()
  await waitFor(() => one.gaps.length === 1)
})

test('rejects in time where there is no server, and leaves nothing behind', async (t) => {
  const { listener } = open(t, 'redis://127.0.0.1:1')
  await assert.rejects(listener.listen(['a'], ear()), { name: ConnectionError.name })
})

test('refuses what are no topics', async (t) => {
  const { listener } = open(t)
  for (const topics of [[], ['a b'], ['a', '**'], ['*.a']]) {
    await assert.rejects(listener.listen(topics, ear()), {
      name: OptionError.name,
      message: /listen takes topics like/,
    })
  }
})
