import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { defineJob, handle, LayoutError, UnsuitableServerError } from '../../src/index.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { openBench } from '../support/workbench.ts'

let redis: RedisServer
before(async () => {
  redis = await startRedis()
})
after(() => redis.stop())

const job = defineJob({ type: 'job' })

test('the layout is written from the beginning', async () => {
  await using bench = openBench(redis)
  await bench.moca.connect()
  assert.equal(await bench.command('GET', ':layout'), '1')
})

test('a namespace of a newer release is refused politely, by everybody, and nothing is written', async () => {
  await using bench = openBench(redis)
  bench.skipBalance()
  await bench.command('SET', ':layout', '2')
  const isPolite = (error: LayoutError) => {
    assert.ok(error instanceof LayoutError)
    const { code, retryable, facts } = error
    assert.deepEqual([code, retryable, facts.found, facts.known], ['layout_unknown', false, '2', '1'])
    assert.match(error.message, /has layout 2; this release of Moca knows layout 1/)
    return true
  }
  const { queue } = bench.moca
  const worker = bench.worker({ handlers: [handle(job, () => {})] })
  await Promise.all([
    assert.rejects(bench.moca.connect(), isPolite),
    assert.rejects(queue.enqueue(job, 1), isPolite),
    assert.rejects(queue.enqueueMany(job, [{ payload: 1 }]), isPolite),
    assert.rejects(queue.inspect('default.0.1-1'), isPolite),
    assert.rejects(queue.counts(), isPolite),
    assert.rejects(worker.start(), isPolite),
  ])
  await worker.stop()
  assert.deepEqual(await bench.keys(), ['layout'])
})

test('a process that runs while the namespace is taken over by a newer release refuses as well', async () => {
  await using bench = openBench(redis)
  bench.skipBalance()
  const { queue } = bench.moca
  await queue.enqueue(job, 1)
  await bench.command('SET', ':layout', '2')
  const before = await bench.command<number>('XLEN', ':q:default')
  await assert.rejects(queue.enqueue(job, 2), LayoutError)
  await assert.rejects(queue.enqueueMany(job, [{ payload: 1 }]), LayoutError)
  assert.equal(await bench.command('XLEN', ':q:default'), before)
  // The other release is taken back.
  await bench.command('SET', ':layout', '1')
  assert.equal((await queue.enqueue(job, 3)).status, 'enqueued')
})

test('a server that would evict jobs is refused at the start, by everybody', async () => {
  const evicting = await startRedis({ args: ['--maxmemory-policy', 'allkeys-lru'] })
  try {
    await using bench = openBench(evicting)
    bench.skipBalance()
    await assert.rejects(bench.moca.connect(), UnsuitableServerError)
    await assert.rejects(bench.moca.queue.enqueue(job, 1), /maxmemory-policy is allkeys-lru\. Set it to noeviction/)
    const worker = bench.worker({ handlers: [handle(job, () => {})] })
    await assert.rejects(worker.start(), UnsuitableServerError)
    await worker.stop()
    assert.equal(await evicting.cli(['DBSIZE']), '0')
    // Once it is mended, the same process goes on.
    await evicting.cli(['CONFIG', 'SET', 'maxmemory-policy', 'noeviction'])
    await bench.moca.connect()
    await bench.moca.queue.enqueue(job, 1)
  } finally {
    await evicting.stop()
  }
})
