import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { outboxScenes } from '../../test/support/outbox-scene.ts'
import { Database } from '../postgres/database.ts'
import { DirtyDocuments } from './dirty-documents.ts'

const openScene = outboxScenes()

async function openDirty(t: TestContext) {
  const scene = await openScene(t)
  const database = new Database({ url: scene.database.url, name: 'moca:test' })
  t.after(() => database.close())
  const dirty = new DirtyDocuments(database, 'moca', 'City/one')
  const waiting = async () => (await dirty.next(10)).map(({ docname }) => docname)
  const parked = async () => (await dirty.listParked(10)).map(({ docname, error }) => `${docname}: ${error}`)
  return { dirty, waiting, parked, other: new DirtyDocuments(database, 'moca', 'City/two') }
}

test('what was marked again while it was indexed stays, and so does what another index marked', async (t) => {
  const { dirty, waiting, other } = await openDirty(t)
  await other.mark(['a'])
  await dirty.mark(['b', 'a', 'b'])
  assert.deepEqual((await waiting()).toSorted(), ['a', 'b'])
  const read = await dirty.next(10)
  await dirty.mark(['b'])
  await dirty.done(read)
  assert.deepEqual(await waiting(), ['b'])
  assert.equal(await dirty.lastMark(), (await dirty.next(1))[0]?.mark)
  await dirty.done(await dirty.next(10))
  assert.deepEqual(await waiting(), [])
  assert.equal(await dirty.lastMark(), 0)
  assert.deepEqual((await other.next(10)).length, 1)
})

test('what cannot be indexed is parked, unless it was marked again since it was read', async (t) => {
  const { dirty, waiting, parked } = await openDirty(t)
  await dirty.mark(['a', 'b'])
  const read = await dirty.next(10)
  await dirty.mark(['b'])
  for (const { docname, mark } of read) await dirty.park(docname, 'bad', mark)
  await dirty.done(read)
  assert.deepEqual(await waiting(), ['b'])
  assert.deepEqual(await parked(), ['a: bad'])
  // A change of the log, which has no marking.
  await dirty.park('a', 'worse')
  await dirty.park('b', 'of what was read before it was marked')
  await dirty.park('c', 'with a \0 in it')
  assert.deepEqual((await parked()).toSorted(), ['a: worse', 'c: with a  in it'])
  assert.deepEqual(await dirty.count(), { waiting: 1, parked: 2, oldestAt: (await dirty.count()).oldestAt })
  assert.equal(await dirty.retry('c'), 1)
  assert.equal(await dirty.retry('c'), 0)
  await dirty.mark(['a'])
  assert.deepEqual((await waiting()).toSorted(), ['a', 'b', 'c'])
  await dirty.park('a', 'bad', (await dirty.next(10)).find(({ docname }) => docname === 'a')?.mark)
  await dirty.unpark(['a', 'b'])
  assert.deepEqual([await parked(), (await waiting()).toSorted()], [[], ['b', 'c']])
  await dirty.forget()
  assert.equal((await dirty.count()).waiting, 0)
})
