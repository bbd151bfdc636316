import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defineJob, EnqueueError, type Moca } from '../../src/index.ts'
import { startRedis } from '../support/redis-server.ts'
import { openBench } from '../support/workbench.ts'

// What a server refuses is told from what a broken connection leaves open. Each test has a server of its own.

const job = defineJob({ type: 'job' })

async function openScene() {
  const redis = await startRedis()
  const bench = openBench(redis)
  bench.skipBalance() // keys are damaged on purpose
  await bench.moca.queue.enqueue(job, 'before')
  return {
    redis,
    bench,
    moca: bench.moca,
    async [Symbol.asyncDispose]() {
      await bench[Symbol.asyncDispose]()
      await redis.stop()
    },
  }
}

/** How one enqueue, and one of many, are refused. */
async function failures(moca: Moca) {
  const calls = [moca.queue.enqueue(job, 1), moca.queue.enqueueMany(job, [{ payload: 2 }, { payload: 3 }])]
  const ended = await Promise.allSettled(calls)
  return ended.map((end) => {
    const reason: unknown = end.status === 'rejected' ? end.reason : undefined
    assert.ok(reason instanceof EnqueueError, String(reason))
    const { code, mayHaveBeenApplied, retryable } = reason
    return { code, mayHaveBeenApplied, retryable, message: reason.message }
  })
}

test('a command that the server does not permit is refused, not lost: nothing of it was accepted', async () => {
  await using it = await openScene()
  await it.redis.cli(['ACL', 'SETUSER', 'default', '-evalsha'])
  for (const { code, mayHaveBeenApplied, retryable, message } of await failures(it.moca)) {
    assert.deepEqual([code, mayHaveBeenApplied, retryable], ['redis_refused', false, true])
    assert.match(message, /NOPERM.*'evalsha'.*Nothing of it was accepted/)
  }
  await it.redis.cli(['ACL', 'SETUSER', 'default', '+evalsha'])
  assert.equal((await it.moca.queue.enqueue(job, 1)).status, 'enqueued') // on the same connection
  assert.equal((await it.bench.counts()).accepted, 2)
})

test('an error from the midst of a script is an answer too, which does not say how far it came', async () => {
  await using it = await openScene()
  await it.bench.command('DEL', ':q:default')
  await it.bench.command('SET', ':q:default', 'somebody else was here')
  for (const { code, mayHaveBeenApplied, message } of await failures(it.moca)) {
    assert.deepEqual([code, mayHaveBeenApplied], ['redis_refused', true])
    assert.match(message, /^Redis answered the enqueue with an error: .*WRONGTYPE/)
  }
})

test('a connection that breaks before the answer is lost, not refused', async () => {
  await using it = await openScene()
  await it.redis.kill('SIGSTOP')
  const failed = failures(it.moca)
  await new Promise(setImmediate) // both are sent by now
  await it.redis.kill('SIGKILL')
  for (const { code, mayHaveBeenApplied, retryable } of await failed)
    assert.deepEqual([code, mayHaveBeenApplied, retryable], ['connection_lost', true, true])
  await it.redis.start()
})
