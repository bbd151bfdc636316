import assert from 'node:assert/strict'
import { test } from 'node:test'
import { outboxScenes } from '../../test/support/outbox-scene.ts'
import { Database } from '../postgres/database.ts'
import { IndexFeeds } from './index-feeds.ts'

const openScene = outboxScenes()

test('who asks for an index that another one owns opens no connection for it, and takes it when it is free', async (t) => {
  const scene = await openScene(t)
  const database = new Database({ url: scene.database.url, name: 'moca:test' })
  t.after(() => database.close())
  let opened = 0
  const counted = {
    query: database.query.bind(database),
    openConnection: () => {
      opened++
      return database.openConnection()
    },
  }
  const [first, second] = ['first', 'second'].map(
    (owner) => new IndexFeeds({ database: counted, schema: 'moca', owner, leaseMs: 10_000 }),
  ) as [IndexFeeds, IndexFeeds]
  assert.equal(await first.take('City/one', ['City']), undefined, 'it has not begun')
  await first.begin('City/one')
  const feed = await first.take('City/one', ['City'])
  assert.ok(feed)
  const before = opened
  for (let n = 0; n < 5; n++) assert.equal(await second.take('City/one', ['City']), undefined)
  assert.equal((await second.standing('City/one', ['City']))?.owner, 'first')
  assert.deepEqual(await second.list(), ['City/one'])
  assert.equal(opened, before)
  await feed.leave()
  const taken = await second.take('City/one', ['City'])
  assert.ok(taken && taken.epoch > feed.epoch)
  await taken.leave()
  await second.forget('City/one')
  assert.equal(await first.take('City/one', ['City']), undefined)
})
