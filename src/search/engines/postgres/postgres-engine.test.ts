import assert from 'node:assert/strict'
import { test } from 'node:test'
import { makeDocument } from '../../../../test/conformance/search-engine.ts'
import { outboxScenes } from '../../../../test/support/outbox-scene.ts'
import { Database } from '../../../postgres/database.ts'
import type { EngineQuery, SearchDocument } from '../../search-engine.ts'
import { PostgresEngine } from './postgres-engine.ts'

// What every engine must do is in test/conformance/search-engine.ts.

const openScene = outboxScenes()
const TARGET = { index: 'City', generation: 'one' }
const SETTINGS = { searchable: ['name'], filterable: [], sortable: ['population'], facets: [], language: 'simple' }
const QUERY: EngineQuery = { q: '', filter: {}, sort: [], facets: [], highlight: [], limit: 20, offset: 0 }

const before = makeDocument('1', { name: 'Bern', population: 1 })
const late = makeDocument('1', { name: 'Thun', population: 2 })
/** What the new writer puts, who looked when `before` was there. */
const puts: Readonly<Record<string, SearchDocument>> = {
  'the document as it saw it': before,
  'another value': makeDocument('1', { name: 'Bern', population: 3 }),
}

for (const [what, put] of Object.entries(puts)) {
  for (const times of [1, 10]) {
    test(`a writer that puts ${what} undoes what an earlier one submitted ${times} times since it looked`, async (t) => {
      const scene = await openScene(t)
      const database = new Database({ url: scene.database.url, name: 'moca:test' })
      t.after(() => database.close())
      const earlier = new PostgresEngine({ database, schema: 'moca' })
      const submitEarlier = async (document: SearchDocument, submission: number) =>
        earlier.submit({ target: TARGET, version: { epoch: 1, submission }, put: [document], delete: [] })
      await earlier.create(TARGET, SETTINGS)
      await earlier.swap(TARGET.index, undefined, TARGET.generation)
      await submitEarlier(before, 1)
      let submitted = 0
      const interrupted = {
        transaction: database.transaction.bind(database),
        query: async (text: string, ...rest: [values?: readonly unknown[], options?: object]) => {
          if (text.includes('submit_search_documents') && submitted < times) await submitEarlier(late, 2 + submitted++)
          return database.query<never>(text, ...rest)
        },
      }
      const later = new PostgresEngine({ database: interrupted, schema: 'moca' })
      const version = { epoch: 2, submission: 1 }
      const ticket = await later.submit({ target: TARGET, version, put: [put], delete: [] })
      assert.deepEqual(await later.settle([ticket]), [{ status: 'succeeded' }])
      assert.ok(submitted > 0)
      const found = async (q: string) => (await later.query(TARGET.index, { ...QUERY, q })).hits
      assert.deepEqual(
        (await found('bern')).map(({ fields }) => fields),
        [put.fields],
      )
      assert.deepEqual(await found('thun'), [])
    })
  }
}

test('a document whose text is gone, or is another one, is told by its rev, and mended by the next submission', async (t) => {
  const scene = await openScene(t)
  const database = new Database({ url: scene.database.url, name: 'moca:test' })
  t.after(() => database.close())
  const engine = new PostgresEngine({ database, schema: 'moca' })
  await engine.create(TARGET, { ...SETTINGS, language: 'english' })
  await engine.swap(TARGET.index, undefined, TARGET.generation)
  let submission = 0
  const submit = async (document: SearchDocument) => {
    const version = { epoch: 1, submission: ++submission }
    return engine.submit({ target: TARGET, version, put: [document], delete: [] })
  }
  const document = makeDocument('1', { name: 'Running rivers', population: 1 })
  const found = async () => (await engine.query(TARGET.index, { ...QUERY, q: 'river run' })).hits.length
  await submit(document)
  assert.equal(await found(), 1)
  const [row] = await database.query<{ id: number }>('select id from moca.search_generation')
  const texts = `moca.search_text_${row?.id}`
  for (const damage of [`delete from ${texts}`, `update ${texts} set text_rev = 'other', words = ''`]) {
    await database.query(damage)
    assert.equal(await found(), 0)
    assert.deepEqual(
      (await engine.readRevs(TARGET, ['1'])).map(({ rev }) => rev === document.rev),
      [false],
    )
    assert.deepEqual(
      (await engine.readPage(TARGET, undefined, 10)).documents.map(({ rev }) => rev === document.rev),
      [false],
    )
    await submit(document)
    assert.equal(await found(), 1)
  }
  await submit(makeDocument('1', { name: 'Running rivers', population: 2 }))
  assert.equal(await found(), 1)
})
