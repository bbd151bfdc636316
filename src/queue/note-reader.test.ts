import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { QueueScene } from '../../test/support/queue-scene.ts'
import { receivedJob, ReceiverScene } from '../../test/support/receiver-scene.ts'
import { type RedisServer, startRedis } from '../../test/support/redis-server.ts'
import { waitFor } from '../../test/support/wait-for.ts'
import type { DeathNote, QueueNote } from '../job/queue-notes.ts'
import { NamespaceAccess } from './namespace-access.ts'
import { NoteReader } from './note-reader.ts'

let redis: RedisServer
before(async () => {
  redis = await startRedis()
})
after(() => redis.stop())

let namespaces = 0

async function open({ takeOverMs }: { takeOverMs?: number } = {}) {
  const namespace = `notes${++namespaces}`
  const scene = await QueueScene.open(redis.url, namespace)
  const it = new ReceiverScene(redis.url, namespace)
  const access = new NamespaceAccess(it.link, namespace, 5_000)
  return {
    scene,
    link: it.link,
    /** A process that reads. */
    reader: () => new NoteReader({ access, receiver: it.receiver, ...(takeOverMs !== undefined && { takeOverMs }) }),
    async die(count: number, options: Record<string, unknown> = {}) {
      const places = await scene.enqueue(
        'default',
        Array.from({ length: count }, () => ({ options })),
      )
      await scene.bury('default', await scene.fetch('default', count))
      return places
    },
    async [Symbol.asyncDispose]() {
      scene.close()
      await it[Symbol.asyncDispose]()
    },
  }
}

const events = (...jobs: ReturnType<typeof receivedJob>[]) => ({ version: 0, jobs, announcements: [] })
const jobIds = (notes: readonly QueueNote[]) => notes.map((note) => (note as DeathNote).jobId)

test('who begins to read where nobody ever did leaves the connection to the others', async () => {
  await using it = await open()
  const before = await it.link.ready(5_000)
  assert.deepEqual(await it.reader().take(10), [])
  assert.equal(it.link.get(), before)
})

test('a death is told with job, type, reason and time', async () => {
  await using it = await open()
  const [place] = await it.die(1)
  const [note] = await it.reader().take(10)
  const { id, at, ...rest } = note as DeathNote
  const jobId = `default.0.${place}`
  const expected = {
    kind: 'dead',
    queue: 'default',
    jobId,
    type: 'test.job',
    reason: 'attempts used up',
    topic: undefined,
  }
  assert.deepEqual(rest, expected)
  assert.match(id, /^\d+-\d+$/)
  assert.ok(Math.abs(at.getTime() - (await it.scene.serverMs())) < 60_000)
})

test("the death of a subscription's job names the topic by which its event came", async () => {
  await using it = await open()
  await it.die(1, { h: JSON.stringify({ traceparent: '00-1', 'moca-topic': 'moca.notifications' }) })
  const [note] = await it.reader().take(10)
  assert.equal((note as DeathNote).topic, 'moca.notifications')
})

test('a loss is told with how many, and from when to when', async () => {
  await using it = await open()
  const reader = it.reader()
  const lose = (lost: number) => it.scene.run('lose', { boot: '7-0', q: 'default', lost, from: 1_000, to: 2_000 })
  for (const lost of [3, 2, 5]) await lose(lost)
  const told = (await reader.take(10)).map(({ id: _id, at: _at, ...rest }) => rest)
  const loss = { kind: 'loss', queue: 'default', from: new Date(1_000), to: new Date(2_000), boot: '7-0' }
  assert.deepEqual(told, [
    { ...loss, lost: 3 },
    { ...loss, lost: 5 },
  ])
})

test('each note goes to one of those who read, oldest first, those from before the first reader as well', async () => {
  await using it = await open()
  const [one, another] = [it.reader(), it.reader()]
  const places = await it.die(5)
  const taken = [await one.take(2), await another.take(2), await one.take(2)]
  assert.deepEqual(
    taken.map(({ length }) => length),
    [2, 2, 1],
  )
  assert.deepEqual(
    jobIds(taken.flat()),
    places.map((place) => `default.0.${place}`),
  )
  assert.deepEqual(await another.take(2), [])
})

test('several that begin to read at once get each note once', async () => {
  await using it = await open()
  await it.die(20)
  const taken = (await Promise.all(Array.from({ length: 4 }, () => it.reader().take(10)))).flat()
  assert.equal(new Set(jobIds(taken)).size, 20)
  assert.equal(taken.length, 20)
})

test('a note that is told of is gone with its event, and its event comes once', async () => {
  await using it = await open()
  await it.die(1)
  const reader = it.reader()
  const [note] = (await reader.take(1)) as [QueueNote]
  const job = receivedJob()
  assert.equal(await reader.tell(note, { ...events(job), version: 4 }), 'outdated')
  assert.equal(await reader.tell(note, events(job)), 'published')
  assert.equal(await it.scene.command('XLEN', ':notes'), 0)
  assert.equal(await it.reader().tell(note, events(receivedJob())), 'gone')
  const waiting = await it.scene.fetch('default', 10)
  assert.deepEqual(
    waiting.map(({ place }) => place),
    [job.place],
  )
})

test('a note that is left is gone without an event', async () => {
  await using it = await open()
  await it.die(1)
  const reader = it.reader()
  const [note] = (await reader.take(1)) as [QueueNote]
  await reader.leave(note)
  assert.equal(await it.scene.command('XLEN', ':notes'), 0)
  assert.equal(await reader.tell(note, events(receivedJob())), 'gone')
})

test('a note whose reader died before its event was published comes again, and is told once', async () => {
  await using it = await open({ takeOverMs: 1 })
  const places = await it.die(3)
  const [first, second] = (await it.reader().take(2)) as [QueueNote, QueueNote]
  // It goes no further. Another process takes over what it had, and what nobody had.
  const heir = it.reader()
  await it.scene.pass(5)
  const again = await heir.take(10)
  assert.deepEqual(
    jobIds(again),
    places.map((place) => `default.0.${place}`),
  )
  assert.equal(await heir.tell(again[0] as QueueNote, events(receivedJob())), 'published')
  // The first was only slow: it finds that it is too late for one, and tells the other.
  assert.equal(await it.reader().tell(first, events(receivedJob())), 'gone')
  assert.equal(await it.reader().tell(second, events(receivedJob())), 'published')
  assert.equal(await heir.tell(again[1] as QueueNote, events(receivedJob())), 'gone')
})

test('notes are kept up to a number, though nobody reads them', async () => {
  await using it = await open()
  for (let lost = 1; lost <= 10_300; lost += 100) {
    const more = Array.from({ length: 100 }, (_, index) =>
      it.scene.run('lose', { boot: '7-0', q: 'default', lost: lost + index, from: 0, to: 1 }),
    )
    await Promise.all(more)
  }
  const length = await it.scene.command<number>('XLEN', ':notes')
  assert.ok(length >= 10_000 && length < 10_300, String(length))
})

test('a server that forgot everything is read again from the beginning', async () => {
  await using it = await open()
  const reader = it.reader()
  await it.die(1)
  assert.equal((await reader.take(5)).length, 1)
  await it.scene.command('FLUSHALL')
  assert.deepEqual(await reader.take(5), [])
  const other = await QueueScene.open(redis.url, it.scene.namespace)
  await other.enqueue('default', [{}])
  await other.bury('default', await other.fetch('default', 1))
  other.close()
  assert.equal((await waitFor(async () => reader.take(5))).length, 1)
})
