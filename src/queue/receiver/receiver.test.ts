import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { QueueScene } from '../../../test/support/queue-scene.ts'
import { batch, LOG_ID, receivedJob, ReceiverScene } from '../../../test/support/receiver-scene.ts'
import { type RedisServer, startRedis } from '../../../test/support/redis-server.ts'
import { MocaError } from '../../errors.ts'
import { accountQueues } from '../../verify/queue-account.ts'
import { LARGE_PAYLOAD_BYTES } from '../entry.ts'
import { QueueReader } from '../inspector/queue-reader.ts'

let redis: RedisServer
before(async () => {
  redis = await startRedis()
})
after(() => redis.stop())

let namespaces = 0

/** A namespace with a receiver and, on a connection of its own, somebody who looks and works. */
async function open(maxWaiting: Record<string, number> = {}) {
  const namespace = `receiver${++namespaces}`
  const scene = await QueueScene.open(redis.url, namespace, ['default', 'mails'])
  const it = new ReceiverScene(redis.url, namespace, { maxWaiting })
  const reader = new QueueReader(namespace, scene.openNamespace)
  return {
    scene,
    reader,
    receiver: it.receiver,
    receive: it.receive.bind(it),
    link: it.link,
    counts: async (queue = 'default') => (await reader.look([queue])).queues[queue],
    async [Symbol.asyncDispose]() {
      assert.deepEqual((await accountQueues(reader)).findings, [])
      scene.close()
      await it[Symbol.asyncDispose]()
    },
  }
}

const placesOf = (jobs: readonly { place: string }[]) => jobs.map(({ place }) => place)

test('a batch brings jobs into several queues, in order, with what they carry', async () => {
  await using it = await open()
  const options = (place: string) => `{"i":"${place}","n":3,"h":"{\\"a\\":\\"ä/\\"}"}`
  const first = receivedJob()
  const second = receivedJob({ queue: 'mails', payload: '{"to":"ä\\n"}' })
  const third = receivedJob({ options: options('gAAAAAAAAAAAAAAAAAAAA'), place: 'gAAAAAAAAAAAAAAAAAAAA' })
  assert.deepEqual(await it.receive({ jobs: [first, second, third] }), [{ status: 'applied' }])
  assert.deepEqual(placesOf(await it.scene.fetch('default', 10)), [first.place, third.place])
  assert.deepEqual(placesOf(await it.scene.fetch('mails', 10)), [second.place])
  const [mail] = await it.reader.entries('mails', 'm', '-', '+', 1)
  assert.equal(mail?.payload, '{"to":"ä\\n"}')
  const entries = await it.reader.entries('default', 'm', '-', '+', 9)
  const { at, ...carried } = entries[1]?.options ?? {}
  assert.deepEqual(carried, { i: third.place, n: 3, h: '{"a":"ä/"}' })
  assert.ok(Math.abs((at ?? 0) - Date.now()) < 60_000)
  assert.equal((await it.counts())?.accepted, 2)
})

test('jobs of a key come one after another, whatever brought them, and keep their key though nobody told the entry', async () => {
  await using it = await open()
  const [enqueued] = await it.scene.enqueue('default', [{ key: 'k "1"' }])
  const jobs = [receivedJob({ key: 'k "1"' }), receivedJob({ key: 'k "1"' }), receivedJob({ key: 'other' })]
  await it.receive({ jobs })
  const [first, other] = await it.scene.fetch('default', 9)
  assert.deepEqual([first?.place, other?.place], [enqueued, jobs[2]?.place])
  for (const next of [jobs[0], jobs[1]]) {
    const before = next === jobs[0] ? first : (await it.scene.fetch('default', 9, 'f'))[0]
    assert.ok(before)
    await it.scene.settle('default', [before], { r: 'completed' })
  }
  const [last] = await it.scene.fetch('default', 9, 'f')
  assert.equal(last?.place, jobs[1]?.place)
})

test('a job that is due later waits until then', async () => {
  await using it = await open()
  const now = Math.floor(await it.scene.serverMs())
  const past = receivedJob({ dueMs: now - 5_000 })
  const later = receivedJob({ dueMs: now + 60_000 })
  await it.receive({ jobs: [later, past] })
  const { delayed, waiting } = (await it.counts()) ?? {}
  assert.deepEqual([delayed, waiting], [1, 1])
  assert.deepEqual(await it.reader.scoresOf('default', 'later', [later.place]), [now + 60_000])
})

test('a large payload stands beside the stream', async () => {
  await using it = await open()
  const payload = JSON.stringify('ä'.repeat(LARGE_PAYLOAD_BYTES / 2))
  const job = receivedJob({ payload })
  const small = receivedJob({ payload: JSON.stringify('x'.repeat(LARGE_PAYLOAD_BYTES - 2)) })
  await it.receive({ jobs: [small, job] })
  const [inStream, beside] = await it.reader.entries('default', 'm', '-', '+', 9)
  assert.equal(inStream?.options.p, undefined)
  assert.deepEqual([beside?.options.p, beside?.payload], [Buffer.byteLength(payload), ''])
  assert.equal(await it.reader.largePayload('default', job.place), payload)
})

test('a thousand jobs with keys of their own fit into one batch, and a thousand of one key', async () => {
  await using it = await open()
  const of = (key: (index: number) => string) =>
    Array.from({ length: 1_000 }, (_, index) => receivedJob({ key: key(index) }))
  const answers = await it.receive({ n: 1, jobs: of((index) => `k${index}`) }, { n: 2, jobs: of(() => 'one') })
  assert.deepEqual(answers, [{ status: 'applied' }, { status: 'applied' }])
  const { accepted, waiting, gated } = (await it.counts()) ?? {}
  assert.deepEqual({ accepted, waiting, gated }, { accepted: 2_000, waiting: 1_001, gated: 999 })
})

test('a batch without jobs is noted as well', async () => {
  await using it = await open()
  assert.deepEqual(await it.receive({ n: 1 }, { n: 2, rows: 5 }), [{ status: 'applied' }, { status: 'applied' }])
  const position = { logId: LOG_ID, n: 2, epoch: 1, rows: 5, digest: 'd2' }
  assert.deepEqual(await it.receiver.positions(), new Map([['7', position]]))
})

test('units count apart', async () => {
  await using it = await open()
  await it.receive({ unit: '1' }, { unit: 'mails:1' }, { unit: '1', n: 2 })
  const positions = await it.receiver.positions()
  assert.deepEqual([positions.size, positions.get('1')?.n, positions.get('mails:1')?.n], [2, 2, 1])
})

test('batches that are under way at the same time are applied once each', async () => {
  await using it = await open()
  const jobs = Array.from({ length: 20 }, () => receivedJob())
  const sent = [1, 1, 2, 2, 1].map((n) => it.receiver.receive(batch({ n, jobs: jobs.slice(n * 10 - 10, n * 10) })))
  const words = (await Promise.all(sent)).map(({ status }) => status)
  assert.deepEqual(words, ['applied', 'done', 'applied', 'done', 'ahead'])
  assert.equal((await it.counts())?.accepted, 20)
})

test('a full queue takes nothing of a batch; one that has room for a job takes all', async () => {
  await using it = await open({ mails: 3 })
  const some = (count: number, queue: string) => Array.from({ length: count }, () => receivedJob({ queue }))
  assert.deepEqual(await it.receive({ n: 1, jobs: some(5, 'mails') }), [{ status: 'applied' }])
  const second = { n: 2, jobs: [...some(1, 'default'), ...some(1, 'mails')] }
  assert.deepEqual(await it.receive(second), [{ status: 'full', queue: 'mails' }])
  assert.equal((await it.counts())?.accepted, 0)
  await it.scene.settle('mails', await it.scene.fetch('mails', 3), { r: 'completed' })
  assert.deepEqual(await it.receive(second), [{ status: 'applied' }])
})

test('without memory nothing of a batch is accepted, and it is told as an outage', async () => {
  await using it = await open()
  await it.scene.command('CONFIG', 'SET', 'maxmemory', '1')
  try {
    await assert.rejects(it.receive({ jobs: [receivedJob()] }), (error) => {
      assert.ok(error instanceof MocaError)
      assert.equal(error.retryable, true)
      assert.match(error.message, /Redis refused the batch: OOM .* Nothing of it was accepted/)
      return true
    })
  } finally {
    await it.scene.command('CONFIG', 'SET', 'maxmemory', '0')
  }
  assert.deepEqual(await it.receiver.positions(), new Map())
  assert.deepEqual(await it.receive({ jobs: [receivedJob()] }), [{ status: 'applied' }])
})

test('events are announced on the channels of their topics, once they are there', async () => {
  await using it = await open()
  const listener = await QueueScene.open(redis.url, it.scene.namespace)
  const heard: string[] = []
  const announcements = [
    { topic: 'shop.orders', text: '{"ä":1}' },
    { topic: 'shop.orders', text: '2' },
  ]
  try {
    const { connection, prefix } = await listener.openNamespace()
    await connection.subscribe(`${prefix}events:shop.orders`, (message) => heard.push(message))
    await it.receive({ n: 1, announcements }, { n: 1, announcements }, { n: 3, announcements })
    await connection.send(['PING'])
  } finally {
    listener.close()
  }
  assert.deepEqual(heard, ['{"ä":1}', '2'])
})

test('an announced event that is the payload of a job, of whichever queue, is sent once and heard all the same', async () => {
  await using it = await open()
  const listener = await QueueScene.open(redis.url, it.scene.namespace)
  const heard: string[] = []
  const large = JSON.stringify('x'.repeat(20_000))
  const jobs = [
    receivedJob({ queue: 'long', payload: '{"n":1}' }),
    receivedJob({ payload: '{"n":2}' }),
    receivedJob({ queue: 'long', payload: large }),
    receivedJob({ payload: '{"n":2}' }),
  ]
  const announcements = ['{"n":2}', large, '{"n":3}', '{"n":1}'].map((text) => ({ topic: 'shop.orders', text }))
  try {
    const { connection, prefix } = await listener.openNamespace()
    await connection.subscribe(`${prefix}events:shop.orders`, (message) => heard.push(message))
    await it.receive({ n: 1, jobs, announcements })
    await connection.send(['PING'])
  } finally {
    listener.close()
  }
  assert.deepEqual(
    heard,
    announcements.map(({ text }) => text),
  )
})

test('an event is published for the set of subscriptions that was asked, or not at all', async () => {
  await using it = await open({ mails: 1 })
  const publish = (version: number, ...jobs: ReturnType<typeof receivedJob>[]) =>
    it.receiver.publish({ version, jobs, announcements: [] })
  assert.equal(await publish(0, receivedJob({ key: 'k' })), 'published')
  await it.scene.command('HSET', ':subscriptions', 'version', '3')
  assert.equal(await publish(0, receivedJob()), 'outdated')
  assert.equal(await publish(4, receivedJob()), 'outdated')
  assert.equal(await publish(3, receivedJob(), receivedJob({ queue: 'mails' })), 'published')
  await assert.rejects(publish(3, receivedJob(), receivedJob({ queue: 'mails' })), { code: 'queue_full' })
  assert.equal((await it.counts())?.accepted, 2)
})

test('an event that is emitted again while its jobs stand adds none', async () => {
  await using it = await open()
  const jobs = [
    receivedJob({ key: 'k' }),
    receivedJob({ key: 'k' }),
    receivedJob({ dueMs: Date.now() + 60_000 }),
    receivedJob(),
  ]
  const events = { version: 0, jobs, announcements: [] }
  assert.equal(await it.receiver.publish(events), 'published')
  assert.equal(await it.receiver.publish(events), 'published')
  assert.equal(await it.receiver.publish({ ...events, jobs: [...jobs, ...jobs] }), 'published')
  assert.equal((await it.counts())?.accepted, 4)
})

test('positions are written over, and removed', async () => {
  await using it = await open()
  await it.receive({ unit: '1' }, { unit: '2' })
  const position = { logId: 'other', n: 41, epoch: 9, rows: 0, digest: '' }
  await it.receiver.setPositions(
    new Map([
      ['1', position],
      ['2', undefined],
      ['3', undefined],
    ]),
  )
  assert.deepEqual(await it.receiver.positions(), new Map([['1', position]]))
})

test('attack 12: a lane that another log feeds takes nothing of ours, and says so', async () => {
  await using it = await open()
  const jobs = [receivedJob()]
  await it.receive({ n: 1, epoch: 8 }, { n: 2, epoch: 8 })
  const found = { logId: LOG_ID, n: 2, epoch: 8, rows: 0, digest: 'd2' }
  // The database was dropped and migrated anew, or another deployment has the same namespace: numbers and epochs begin again.
  for (const n of [1, 2, 3]) {
    assert.deepEqual(await it.receive({ logId: 'another', n, epoch: 1, jobs }), [{ status: 'foreign', found }])
  }
  assert.equal((await it.counts())?.accepted, 0)
})

test('attack 12: of a database that was put back to an older state nothing is taken for done', async () => {
  await using it = await open()
  for (let n = 1; n <= 5; n++) await it.receive({ n, epoch: 3 })
  const found = { logId: LOG_ID, n: 5, epoch: 3, rows: 0, digest: 'd5' }
  // At batch 3 again, it makes other batches 4, 5, 6 of what is recorded now.
  for (const n of [4, 5]) {
    assert.deepEqual(await it.receive({ n, epoch: 3, digest: `new${n}`, jobs: [receivedJob()] }), [
      { status: 'ahead', found },
    ])
  }
  assert.equal((await it.counts())?.accepted, 0)
})

test('attack 12: the same batch, sent again by whoever owns the lane now, is done; one of its former owner is stale', async () => {
  await using it = await open()
  const jobs = [receivedJob()]
  const found = { logId: LOG_ID, n: 2, epoch: 2, rows: 0, digest: 'd2' }
  const answers = await it.receive(
    { jobs },
    { jobs },
    { jobs, epoch: 2 },
    { n: 2, epoch: 2 },
    { jobs },
    { n: 3, epoch: 1 },
  )
  assert.deepEqual(answers, [
    { status: 'applied' },
    { status: 'done' },
    { status: 'done' },
    { status: 'applied' },
    { status: 'stale', found },
    { status: 'stale', found },
  ])
  assert.equal((await it.counts())?.accepted, 1)
})

test('attack 12: a batch that follows one the queue does not have is not applied', async () => {
  await using it = await open()
  const jobs = [receivedJob()]
  const found = { logId: LOG_ID, n: 1, epoch: 1, rows: 0, digest: 'd1' }
  const answers = await it.receive({ n: 2, jobs }, { n: 1 }, { n: 3, jobs }, { n: 2, jobs })
  assert.deepEqual(answers, [
    { status: 'forgot', found: undefined },
    { status: 'applied' },
    { status: 'forgot', found },
    { status: 'applied' },
  ])
  assert.equal((await it.counts())?.accepted, 1)
})

test('attack 12: a position that an operator wrote counts as that batch', async () => {
  await using it = await open()
  await it.receiver.setPositions(new Map([['7', { logId: LOG_ID, n: 80, epoch: 4, rows: 0, digest: '' }]]))
  const answers = await it.receive({ n: 79, epoch: 4 }, { n: 80, epoch: 4 }, { n: 81, epoch: 4 })
  assert.deepEqual(
    answers.map(({ status }) => status),
    ['ahead', 'done', 'applied'],
  )
})

test('attack 17: an idle lane whose last batch the server forgot shows it, and takes the batch again', async () => {
  const server = await startRedis()
  try {
    await using it = new ReceiverScene(server.url, 'idle')
    const jobs = [receivedJob()]
    await it.receive({ n: 1 })
    const { connection } = await it.link.ready(5_000)
    await connection.send(['SAVE'])
    await it.receive({ n: 2, jobs })
    // No new event comes. The server is killed, and comes back as it was when it was saved.
    await server.kill('SIGKILL')
    await server.start()
    assert.equal((await it.receiver.positions()).get('7')?.n, 1)
    assert.deepEqual(await it.receive({ n: 2, jobs }), [{ status: 'applied' }])
    assert.equal((await it.receiver.positions()).get('7')?.n, 2)
  } finally {
    await server.stop()
  }
})
