import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defineDoctype } from '../doctype/doctype.ts'
import type { IndexHook } from '../doctype/index-hook.ts'
import type { SearchOptions } from '../doctype/search-options.ts'
import { hashDefinition, type NamedRow, projectRows, type SearchedDoctype } from './projection.ts'

const context = { query: async () => [] }

function doctype(search: SearchOptions): SearchedDoctype {
  return defineDoctype({ name: 'City', table: 'city', key: 'id', search }) as SearchedDoctype
}

const rows = (...list: Record<string, unknown>[]): NamedRow[] =>
  list.map((row, index) => ({ docname: `${index}`, row }))

test('without a projection the declared columns make the document, each once', async () => {
  const city = doctype({ searchable: ['name'], filterable: ['country', 'name'], sortable: ['size'] })
  const [document] = await projectRows(city, rows({ name: 'Bern', country: null, size: 3, other: 'x' }), context)
  assert.deepEqual(document?.fields, { country: null, name: 'Bern', size: 3 })
  await assert.rejects(projectRows(city, rows({ name: 'Bern' }), context), /no column country: declare search.project/)
})

test('the hash says whether two documents are the same, whatever the order of their fields', async () => {
  const revOf = async (fields: object) => {
    const city = doctype({ searchable: ['name'], project: () => [{ ...fields }] })
    return (await projectRows(city, rows({}), context))[0]?.rev
  }
  assert.equal(await revOf({ name: 'a', more: { x: 1, y: 2 } }), await revOf({ more: { y: 2, x: 1 }, name: 'a' }))
  assert.equal(await revOf({ name: 'a', gone: undefined }), await revOf({ name: 'a' }))
  assert.notEqual(await revOf({ name: 'a' }), await revOf({ name: 'b' }))
  assert.notEqual(await revOf({ name: 'a', tags: ['x', 'y'] }), await revOf({ name: 'a', tags: ['y', 'x'] }))
})

test('values become what JSON and a database can hold', async () => {
  const city = doctype({
    searchable: ['name'],
    project: () => [
      {
        name: 'a\0b\ud800',
        date: new Date(0),
        big: 12n,
        bigger: 2n ** 60n,
        none: Number.NaN,
        list: [1, undefined, null],
        fn: () => {},
      },
    ],
  })
  const [document] = await projectRows(city, rows({}), context)
  assert.deepEqual(document?.fields, {
    name: 'ab\ufffd',
    date: '1970-01-01T00:00:00.000Z',
    big: 12,
    bigger: '1152921504606846976',
    none: null,
    list: [1, null, null],
  })
})

test('rows that are deleted softly never come to the projection; null leaves a row out', async () => {
  const seen: unknown[] = []
  const city = doctype({
    searchable: ['name'],
    softDelete: 'gone',
    project: (given) => {
      seen.push(...given.map(({ name }) => name))
      return given.map(({ name }) => (name === 'hidden' ? null : { name }))
    },
  })
  const found = await projectRows(
    city,
    rows(
      { name: 'a', gone: null },
      { name: 'b', gone: '2026-01-01' },
      { name: 'hidden', gone: false },
      { name: 'c', gone: true },
      { name: 'd', gone: false },
    ),
    context,
  )
  assert.deepEqual(seen, ['a', 'hidden', 'd'])
  assert.deepEqual(
    found.map(({ id }) => id),
    ['0', '4'],
  )
  await assert.rejects(projectRows(city, rows({ name: 'a' }), context), /no column gone/)
})

test('what is no list of documents is refused, and says so', async () => {
  const project = (result: unknown) => doctype({ searchable: ['name'], project: () => result as never })
  await assert.rejects(
    projectRows(project([]), rows({}), context),
    /must return a list of 1, one for each row; found 0/,
  )
  await assert.rejects(projectRows(project({}), rows({}), context), /must return a list of 1/)
  await assert.rejects(projectRows(project(['x']), rows({}), context), /an object of fields for 0; found "x"/)
  await assert.rejects(
    projectRows(project([{ name: { a: 1 } }]), rows({}), context),
    /Field name of City 0 is declared/,
  )
})

test('the hash of a definition changes with what makes its documents', () => {
  const one = hashDefinition(doctype({ searchable: ['name'] }))
  assert.equal(hashDefinition(doctype({ searchable: ['name'] })), one)
  assert.notEqual(hashDefinition(doctype({ searchable: ['name', 'x'] })), one)
  assert.notEqual(hashDefinition(doctype({ searchable: ['name'], project: (given) => given.map(() => null) })), one)
})

test('hooks of index change fields before the hash is made, and neither ids nor how many there are', async () => {
  const city = doctype({ searchable: ['name'] })
  const hook = (run: IndexHook) => [{ owner: 'a test', run }]
  const [changed] = await projectRows(
    city,
    rows({ name: 'Bern' }),
    context,
    hook(async ({ doctype: of, documents }, next) =>
      next(documents.map(({ id }) => ({ id, fields: { name: `${of} ${id}` } }))),
    ),
  )
  assert.deepEqual(changed?.fields, { name: 'City 0' })
  const [plain] = await projectRows(city, rows({ name: 'City 0' }), context)
  assert.equal(changed?.rev, plain?.rev)
  const other = projectRows(
    city,
    rows({ name: 'x' }),
    context,
    hook(async (_, next) => next([{ id: 'y', fields: {} }])),
  )
  await assert.rejects(other, /must leave documents their ids and order; found "y" for 0/)
  const fewer = projectRows(
    city,
    rows({ name: 'x' }),
    context,
    hook(async (_, next) => next([])),
  )
  await assert.rejects(fewer, /takes a list of 1/)
})
