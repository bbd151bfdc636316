import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { type OutboxScene, outboxScenes } from '../../test/support/outbox-scene.ts'
import {
  differencesOf,
  openIndex,
  prepareCities,
  SAME,
  startSync,
  waitUntilLive,
} from '../../test/support/search-scene.ts'
import { IndexFeeds } from '../outbox/index-feeds.ts'
import { Database } from '../postgres/database.ts'
import { positionOf } from './change-feed.ts'
import { PostgresEngine } from './engines/postgres/postgres-engine.ts'
import { rebuildIndex } from './rebuild.ts'
import { UnclaimedIndexes } from './unclaimed-indexes.ts'

const openScene = outboxScenes()

/** As a process sees them whose configuration has these indexes. */
function unclaimedBeside(t: TestContext, scene: OutboxScene, claimed: readonly string[]): UnclaimedIndexes {
  const database = new Database({ url: scene.database.url, name: 'moca:test' })
  t.after(() => database.close())
  return new UnclaimedIndexes({
    engine: new PostgresEngine({ database, schema: 'moca' }),
    feeds: new IndexFeeds({
      database,
      schema: 'moca',
      owner: 'nobody',
      leaseMs: 10_000,
    }),
    database,
    schema: 'moca',
    claimed,
  })
}

test('an index that no doctype has is told and removed whole, and nothing is left for which the log is kept', async (t) => {
  const scene = await openScene(t)
  await prepareCities(scene)
  await scene.database.query("insert into city values (1, 'Bern')")
  const index = openIndex(t, scene)
  const sync = startSync(t, [index])
  await waitUntilLive(index)
  const stop = new AbortController()
  const interrupted = rebuildIndex(openIndex(t, scene), { signal: stop.signal, onProgress: () => stop.abort() })
  await assert.rejects(interrupted, { name: 'AbortError' })
  const { generation = '' } = (await index.engine.live('City')) ?? {}
  await index.dirty(generation).park('1', 'no reason')

  const claiming = unclaimedBeside(t, scene, ['City'])
  assert.deepEqual(await claiming.list(), [])
  await assert.rejects(claiming.remove('City'), { code: 'option_invalid', message: /it would be built again/ })
  const unclaimed = unclaimedBeside(t, scene, ['Other'])
  assert.deepEqual(await unclaimed.list(), [], 'somebody keeps it')
  await assert.rejects(unclaimed.remove('City'), { code: 'option_invalid', message: /kept by test-/ })
  await sync.stop()
  assert.deepEqual(await unclaimed.list(), ['City'])
  assert.equal(await unclaimed.remove('City'), true)
  assert.equal(await unclaimed.remove('City'), false)
  assert.deepEqual(await unclaimed.list(), [])
  const tables = ['index_lease', 'index_batch', 'index_settled', 'search_dirty', 'search_rebuild', 'search_rebuilt']
  for (const table of [...tables, 'search_generation']) {
    assert.deepEqual(await scene.database.query(`select * from moca.${table}`), [], table)
  }
  const left = "select relname from pg_class where relname ~ '^search_(document|word)_'"
  assert.deepEqual(await scene.database.query(left), [])

  startSync(t, [openIndex(t, scene)])
  await waitUntilLive(index)
  assert.deepEqual(await differencesOf(index), SAME)
})

test('the position of a rebuild that was given up before its generation was made is forgotten by the next one', async (t) => {
  const scene = await openScene(t)
  await prepareCities(scene)
  const index = openIndex(t, scene)
  await index.feeds.begin(positionOf('City', 'given-up'))
  await rebuildIndex(index)
  const { generation = '' } = (await index.engine.live('City')) ?? {}
  assert.deepEqual(await index.feeds.list(), [positionOf('City', generation)])
})
