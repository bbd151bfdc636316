import assert from 'node:assert/strict'
import { afterEach, test } from 'node:test'
import { EnqueueError } from '../../src/index.ts'
import { proxiedRedis } from '../support/proxied-redis.ts'
import { batch, receivedJob, ReceiverScene } from '../support/receiver-scene.ts'
import { waitFor } from '../support/wait-for.ts'
import { Workbench } from '../support/workbench.ts'

// What an outbox and emitted events hear when Redis is away, or its answer is lost.

const TIMEOUT_MS = 400
const servers = proxiedRedis()
afterEach(() => servers.proxy.heal())

async function openAll() {
  const bench = new Workbench(servers.redis.url, {})
  const scene = new ReceiverScene(servers.proxy.url, bench.namespace, { timeoutMs: TIMEOUT_MS })
  await scene.link.ready(5_000)
  return {
    bench,
    scene,
    async [Symbol.asyncDispose]() {
      await scene[Symbol.asyncDispose]()
      await bench[Symbol.asyncDispose]()
    },
  }
}

async function failure(call: Promise<unknown>): Promise<EnqueueError> {
  const error = await call.then(
    (answer) => assert.fail(`it should have failed, and answered ${JSON.stringify(answer)}`),
    (error: unknown) => error,
  )
  assert.ok(error instanceof EnqueueError, String(error))
  assert.equal(error.retryable, true)
  return error
}

const publication = (...jobs: ReturnType<typeof receivedJob>[]) => ({ version: 0, jobs, announcements: [] })

test('a batch whose answer is lost may have been applied, and is done when it is sent again', async () => {
  await using it = await openAll()
  const { bench, scene } = it
  servers.proxy.setFaults({ kind: 'hole', direction: 'toClient' })
  const one = batch({ jobs: [receivedJob({ key: 'k' }), receivedJob({ key: 'k' })] })
  const lost = failure(scene.receiver.receive(one))
  await waitFor(async () => (await bench.counts()).accepted === 2, { describe: 'the server to apply the batch' })
  servers.proxy.cut()
  const { code, mayHaveBeenApplied } = await lost
  assert.deepEqual({ code, mayHaveBeenApplied }, { code: 'connection_lost', mayHaveBeenApplied: true })
  servers.proxy.heal()
  const again = await waitFor(() => scene.receiver.receive(one).catch(() => undefined))
  assert.deepEqual(again, { status: 'done' })
  assert.equal((await bench.counts()).accepted, 2)
})

test('without a connection nothing is sent, and everybody is told so in time', async () => {
  await using it = await openAll()
  const { bench, scene } = it
  servers.proxy.refuse()
  await waitFor(() => servers.proxy.names.length === 0)
  const calls = [
    failure(scene.receiver.receive(batch({ jobs: [receivedJob()] }))),
    failure(scene.receiver.publish(publication(receivedJob()))),
    failure(scene.receiver.positions()),
  ]
  for (const { mayHaveBeenApplied } of await Promise.all(calls)) assert.equal(mayHaveBeenApplied, false)
  servers.proxy.heal()
  await waitFor(() => scene.receiver.receive(batch()).catch(() => undefined))
  assert.equal((await bench.counts()).accepted, 0)
})

test('an event that is not answered in time may have been published; one that could not be sent is not sent later', async () => {
  await using it = await openAll()
  const { bench, scene } = it
  servers.proxy.setFaults({ kind: 'hole' })
  const { code, mayHaveBeenApplied } = await failure(scene.receiver.publish(publication(receivedJob())))
  assert.deepEqual({ code, mayHaveBeenApplied }, { code: 'enqueue_timeout', mayHaveBeenApplied: true })
  servers.proxy.refuse()
  await waitFor(() => servers.proxy.names.length === 0)
  const unsent = await failure(scene.receiver.publish(publication(receivedJob())))
  assert.equal(unsent.mayHaveBeenApplied, false)
  servers.proxy.heal({ isLost: true })
  await waitFor(() => scene.receiver.receive(batch()).catch(() => undefined))
  assert.equal((await bench.counts()).accepted, 0)
})

test('a server that was emptied is opened again, and shows that it forgot', async () => {
  await using it = await openAll()
  const { bench, scene } = it
  await scene.receive({ n: 1, jobs: [receivedJob()] })
  await bench.command('FLUSHALL')
  assert.deepEqual(await scene.receiver.positions(), new Map())
  const [forgot, first, second] = await scene.receive({ n: 2 }, { n: 1, jobs: [receivedJob()] }, { n: 2 })
  assert.deepEqual(forgot, { status: 'forgot', found: undefined })
  assert.deepEqual([first, second], [{ status: 'applied' }, { status: 'applied' }])
  const [loss] = await bench.moca.queue.losses()
  assert.equal(loss?.lost, 1)
})

test('a server that another process opened after it was emptied tells of the loss', async () => {
  await using it = await openAll()
  const { bench, scene } = it
  await scene.receive({ n: 1, jobs: [receivedJob(), receivedJob()] })
  await bench.command('FLUSHALL')
  await bench.openMoca().connect()
  await scene.receive({ n: 1, jobs: [receivedJob()] })
  const loss = await waitFor(async () => (await bench.moca.queue.losses())[0], { describe: 'the loss to be noted' })
  assert.deepEqual([loss.queue, loss.lost], ['default', 2])
})
