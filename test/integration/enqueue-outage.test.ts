import assert from 'node:assert/strict'
import { afterEach, test } from 'node:test'
import { createMoca, defineJob, EnqueueError, type Moca } from '../../src/index.ts'
import { proxiedRedis } from '../support/proxied-redis.ts'
import { waitFor } from '../support/wait-for.ts'
import { openBench, type Workbench } from '../support/workbench.ts'

// A producer never hangs: an enqueue settles within enqueueTimeout, and its error says whether the job may have been accepted.

const TIMEOUT_MS = 400
const job = defineJob({ type: 'a.b' })
const servers = proxiedRedis()
afterEach(() => servers.proxy.heal())

function openProducer(bench: Workbench): Moca {
  return createMoca({
    namespace: bench.namespace,
    redis: { url: servers.proxy.url, connectTimeout: 300, replyTimeout: 600 },
    queue: { enqueueTimeout: TIMEOUT_MS },
  })
}

/** The error of an enqueue, which must come in time. */
async function failure(enqueue: Promise<unknown>): Promise<EnqueueError> {
  const from = performance.now()
  const error = await enqueue.then(
    () => assert.fail('the enqueue should have failed'),
    (error: unknown) => error,
  )
  const tookMs = performance.now() - from
  assert.ok(tookMs < TIMEOUT_MS + 300, `it took ${tookMs} ms`)
  assert.ok(error instanceof EnqueueError, String(error))
  return error
}

test('an enqueue that was sent and not answered says that it may have been applied', async () => {
  await using bench = openBench(servers.redis)
  const moca = await openProducer(bench).connect()
  servers.proxy.setFaults({ kind: 'hole' })
  const errors = await Promise.all([
    failure(moca.queue.enqueue(job, 1, { idempotencyKey: 'one' })),
    failure(moca.queue.enqueueMany(job, [{ payload: 2 }, { payload: 3 }])),
  ])
  for (const { mayHaveBeenApplied, code } of errors) {
    assert.equal(mayHaveBeenApplied, true)
    assert.equal(code, 'enqueue_timeout')
  }
  servers.proxy.heal()
  // It arrives late: the job is there, and the careful caller's second try finds it.
  await waitFor(async () => (await bench.command('XLEN', ':q:default')) === 3, { describe: 'the late enqueues' })
  const again = await waitFor(() => moca.queue.enqueue(job, 1, { idempotencyKey: 'one' }).catch(() => undefined))
  assert.equal(again.status, 'duplicate')
  assert.equal((await bench.counts()).accepted, 3)
  await moca.close()
})

test('an enqueue whose connection breaks before the answer says that it may have been applied', async () => {
  await using bench = openBench(servers.redis)
  const moca = await openProducer(bench).connect()
  servers.proxy.setFaults({ kind: 'hole', direction: 'toClient' })
  const enqueue = failure(moca.queue.enqueue(job, 1))
  await waitFor(async () => (await bench.command('XLEN', ':q:default')) === 1, { describe: 'the server to accept it' })
  servers.proxy.cut()
  const { mayHaveBeenApplied, code } = await enqueue
  assert.equal(mayHaveBeenApplied, true)
  assert.equal(code, 'connection_lost')
  await moca.close()
})

test('an enqueue without a connection was not applied', async () => {
  await using bench = openBench(servers.redis)
  const moca = await openProducer(bench).connect()
  servers.proxy.refuse()
  await waitFor(() => servers.proxy.names.length === 0)
  const errors = await Promise.all([
    failure(moca.queue.enqueue(job, 1)),
    failure(moca.queue.enqueueMany(job, [{ payload: 2 }])),
  ])
  for (const { mayHaveBeenApplied } of errors) assert.equal(mayHaveBeenApplied, false)
  servers.proxy.heal()
  await waitFor(() => moca.queue.enqueue(job, 3).catch(() => undefined), {
    describe: 'the producer to go on by itself',
  })
  assert.equal((await bench.counts()).accepted, 1)
  await moca.close()
})

test('an enqueue that never got a connection was not applied, though the server accepts connections and is silent', async () => {
  await using bench = openBench(servers.redis)
  const moca = openProducer(bench)
  servers.proxy.setFaults({ kind: 'hole' })
  const { mayHaveBeenApplied } = await failure(moca.queue.enqueue(job, 1))
  assert.equal(mayHaveBeenApplied, false)
  servers.proxy.heal({ isLost: true })
  await waitFor(() => moca.queue.enqueue(job, 2).catch(() => undefined), {
    describe: 'the producer to go on by itself',
  })
  assert.equal((await bench.counts()).accepted, 1)
  await moca.close()
})

test('a producer replaces a connection that hangs', async () => {
  await using bench = openBench(servers.redis)
  const moca = await openProducer(bench).connect()
  servers.proxy.setFaults({ kind: 'hole', isForOldOnly: true })
  await failure(moca.queue.enqueue(job, 1))
  await waitFor(() => moca.queue.enqueue(job, 2).catch(() => undefined), {
    describe: 'the producer to go on by itself',
  })
  servers.proxy.heal({ isLost: true })
  await moca.close()
})

test('enqueues that wait for a connection are bounded, and those beyond are refused at once', async () => {
  await using bench = openBench(servers.redis)
  const moca = createMoca({
    namespace: bench.namespace,
    redis: { url: servers.proxy.url },
    queue: { enqueueTimeout: TIMEOUT_MS, maxPendingJobs: 2 },
  })
  servers.proxy.refuse()
  const waiting = [failure(moca.queue.enqueue(job, 1)), failure(moca.queue.enqueue(job, 2))]
  const from = performance.now()
  const { mayHaveBeenApplied, message } = await failure(moca.queue.enqueue(job, 3))
  assert.ok(performance.now() - from < TIMEOUT_MS / 2)
  assert.equal(mayHaveBeenApplied, false)
  assert.match(message, /maxPendingJobs is 2/)
  await Promise.all(waiting)
  servers.proxy.heal()
  await waitFor(() => moca.queue.enqueue(job, 4).catch(() => undefined))
  await moca.close()
})
