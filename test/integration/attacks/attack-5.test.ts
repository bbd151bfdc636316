import assert from 'node:assert/strict'
import { cp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, beforeEach, test } from 'node:test'
import { createMoca, defineJob, handle, type Loss, type Moca } from '../../../src/index.ts'
import { type Proxy, startProxy } from '../../support/proxy.ts'
import { type RedisServer, startRedis } from '../../support/redis-server.ts'
import { waitFor } from '../../support/wait-for.ts'
import { openBench, type Workbench } from '../../support/workbench.ts'

// A server that comes back older than it was has forgotten accepted jobs. New work counts on top of what is left; so whoever looks
// at the count alone, and late, sees nothing wrong.

const job = defineJob({ type: 'a.b' })
let redis: RedisServer
let proxy: Proxy

before(async () => {
  redis = await startRedis({ fsync: 'always' })
  proxy = await startProxy({ targetPort: () => redis.port })
})
beforeEach(() => redis.start())
after(async () => {
  await proxy.stop()
  await redis.stop()
})

/** A producer behind the proxy, and what it was told of losses. */
function producer(bench: Workbench): { moca: Moca; losses: Loss[] } {
  const losses: Loss[] = []
  const moca = createMoca({
    namespace: bench.namespace,
    redis: { url: proxy.url },
    onLoss: (loss) => losses.push(loss),
  })
  return { moca, losses }
}

async function accept(moca: Moca, count: number): Promise<void> {
  await moca.queue.enqueueMany(
    job,
    Array.from({ length: count }, () => ({ payload: 1 })),
  )
}

/** Copies the append-only files; the result ends the server and puts the copy in their place. */
async function copyFiles(): Promise<() => Promise<void>> {
  const files = join(redis.dir, 'appendonlydir')
  const copy = join(redis.dir, 'older')
  await cp(files, copy, { recursive: true })
  return async () => {
    await redis.kill('SIGKILL')
    await rm(files, { recursive: true })
    await cp(copy, files, { recursive: true })
    await rm(copy, { recursive: true })
  }
}

test('attack 5: a loss is not hidden by new work', async () => {
  await using bench = openBench(redis)
  bench.skipBalance()
  const first = producer(bench)
  const second: Loss[] = []
  const other = createMoca({
    namespace: bench.namespace,
    redis: { url: redis.url },
    onLoss: (loss) => second.push(loss),
  })
  await accept(other, 99)
  await accept(first.moca, 1)
  const putBack = await copyFiles()
  const fromMs = Date.now()
  await accept(first.moca, 5)
  await putBack()
  // The process that saw most comes back last: by then there is more than it remembers.
  proxy.refuse()
  await redis.start()
  await accept(other, 20)
  assert.equal((await bench.counts()).accepted, 120)
  assert.deepEqual(second, [])
  proxy.heal()
  await accept(first.moca, 1)
  assert.deepEqual(
    first.losses.map(({ queue, lost }) => ({ queue, lost })),
    [{ queue: 'default', lost: 5 }],
  )
  const [loss] = first.losses
  assert.ok(loss && loss.from.getTime() <= fromMs + 50 && loss.to >= loss.from && loss.to.getTime() <= Date.now())
  const noted = await bench.command<string[]>('HVALS', ':losses')
  assert.deepEqual(
    noted.map((text) => (JSON.parse(text) as { default: { lost: number } }).default.lost),
    [5],
  )
  await Promise.all([first.moca.close(), other.close()])
})

test('attack 5: several processes report one loss, and the one that saw most is right', async () => {
  await using bench = openBench(redis)
  bench.skipBalance()
  const producers = [producer(bench), producer(bench), producer(bench)]
  await accept(bench.moca, 10)
  const putBack = await copyFiles()
  for (const { moca } of producers) await accept(moca, 3)
  await putBack()
  await redis.start()
  for (const { moca } of producers) await accept(moca, 1)
  assert.deepEqual(
    producers.map(({ losses }) => losses.map(({ lost }) => lost)),
    [[3], [6], [9]],
  )
  const noted = await bench.command<string[]>('HVALS', ':losses')
  assert.deepEqual(
    noted.map((text) => (JSON.parse(text) as { default: { lost: number } }).default.lost),
    [9],
  )
  await Promise.all(producers.map(({ moca }) => moca.close()))
})

test('attack 5: a worker notices the loss of what others had enqueued', async () => {
  await using bench = openBench(redis)
  bench.skipBalance()
  const { moca, losses } = producer(bench)
  const slow = defineJob({ type: 'slow' })
  const worker = await bench.startWorker({ handlers: [handle(slow, () => {})], queues: ['default'] }, moca)
  await accept(bench.moca, 10)
  const putBack = await copyFiles()
  await accept(bench.moca, 7)
  // Its sign of life, once a second, tells it the count.
  const beats = async () =>
    Number((await bench.command<string[]>('ZRANGE', ':workers:seen', '0', '-1', 'WITHSCORES'))[1] ?? 0)
  const beat = await beats()
  await waitFor(async () => (await beats()) > beat, { timeoutMs: 10_000, describe: 'the next sign of life' })
  await putBack()
  await redis.start()
  await waitFor(() => losses.length > 0, { timeoutMs: 10_000, describe: 'the worker to notice' })
  assert.deepEqual(
    losses.map(({ queue, lost }) => ({ queue, lost })),
    [{ queue: 'default', lost: 7 }],
  )
  await worker.stop()
  await moca.close()
})

test('attack 5: a restart that loses nothing is no loss', async () => {
  await using bench = openBench(redis)
  const { moca, losses } = producer(bench)
  await accept(moca, 10)
  await redis.kill('SIGKILL')
  await redis.start()
  await accept(moca, 10)
  assert.deepEqual(losses, [])
  assert.equal((await bench.counts()).accepted, 20)
  assert.equal(await bench.command('XLEN', ':boots'), 2)
  await moca.close()
})
