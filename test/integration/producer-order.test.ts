import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defineJob, handle } from '../../src/index.ts'
import { startProxy } from '../support/proxy.ts'
import { startRedis } from '../support/redis-server.ts'
import { waitFor } from '../support/wait-for.ts'
import { KEEP_ORDER, openBench, type Workbench } from '../support/workbench.ts'

// One process enqueues without waiting for answers: its jobs keep the order in which it made them.

const job = defineJob({ type: 'a.b' })

async function setUp() {
  const redis = await startRedis()
  const proxy = await startProxy({ targetPort: () => redis.port })
  return {
    redis,
    proxy,
    [Symbol.asyncDispose]: async () => {
      await proxy.stop()
      await redis.stop()
    },
  }
}

/** Runs everything that waits; the payloads in the order in which they ran. */
async function run(bench: Workbench, count: number): Promise<unknown[]> {
  const payloads: unknown[] = []
  await bench.startWorker({ handlers: [handle(job, ({ payload }) => void payloads.push(payload))], ...KEEP_ORDER })
  await bench.settled(count, 'completed')
  return payloads
}

test('jobs enqueued one right after the other at a fresh server keep their order, whoever else loads the scripts', async () => {
  await using servers = await setUp()
  const { redis, proxy } = servers
  await using bench = openBench(redis)
  const mine = bench.openMoca({ redis: { url: proxy.url } })
  await mine.connect()
  await redis.restart() // a server that knows no script and no job
  const isBack = async () => (await redis.cli(['CLIENT', 'LIST'])).includes(`name=moca:${bench.namespace}:producer`)
  await waitFor(isBack, { describe: 'the producer to connect again' })
  await mine.connect()

  // Answers come late, as over a long line. Between two enqueues another process uses the same script.
  proxy.setFaults({ kind: 'hole', direction: 'toClient' })
  const first = mine.queue.enqueue(job, 'first', { key: 'k' })
  await waitFor(() => proxy.holding > 0, { describe: 'the server to answer' })
  await bench.moca.queue.enqueue(job, 'of another', { key: 'other' })
  const second = mine.queue.enqueue(job, 'second', { key: 'k' })
  await waitFor(async () => (await bench.counts()).accepted >= 2, { describe: 'the second to arrive' })
  proxy.heal()
  await Promise.all([first, second])

  const order = await run(bench, 3)
  assert.deepEqual(
    order.filter((payload) => payload !== 'of another'),
    ['first', 'second'],
  )
})

for (const isConnected of [true, false]) {
  const when = isConnected ? 'while connected' : 'before the first connection'
  test(`an enqueue and an enqueueMany after it keep their order, ${when}`, async () => {
    await using servers = await setUp()
    await using bench = openBench(servers.redis)
    if (isConnected) await bench.moca.connect()
    const { queue } = bench.moca
    const calls = [
      queue.enqueue(job, 0, { key: 'k' }),
      queue.enqueue(job, 1),
      queue.enqueueMany(job, [{ payload: 2, key: 'k' }, { payload: 3 }]),
      queue.enqueue(job, 4, { key: 'k' }),
      queue.enqueue(job, 5),
      queue.enqueueMany(job, [{ payload: 6 }]),
    ]
    await Promise.all(calls)
    const order = (await run(bench, 7)) as number[]
    const keyed = (payload: number) => [0, 2, 4].includes(payload)
    assert.deepEqual(order.filter(keyed), [0, 2, 4])
    assert.deepEqual(
      order.filter((payload) => !keyed(payload)),
      [1, 3, 5, 6],
    )
  })
}
