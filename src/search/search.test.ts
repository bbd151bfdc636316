import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defineDoctype, type Doctype } from '../doctype/doctype.ts'
import { checkQuery, Search, type SearchQuery } from './search.ts'

const SETTINGS = { searchable: ['name'], filterable: ['size'], sortable: ['size'], facets: ['country'] }

test('fills in defaults', () => {
  assert.deepEqual(checkQuery({}, SETTINGS, 'City'), {
    q: '',
    filter: {},
    sort: [],
    facets: [],
    highlight: [],
    limit: 20,
    offset: 0,
  })
  const { sort } = checkQuery({ sort: ['size:desc'] }, SETTINGS, 'City')
  assert.deepEqual(sort, [{ field: 'size', direction: 'desc' }])
  assert.deepEqual(checkQuery({ sort: 'size' }, SETTINGS, 'City').sort, [{ field: 'size', direction: 'asc' }])
})

test('refuses what the definition does not declare, and what is no query, each with what it expected', () => {
  const cases: [unknown, RegExp][] = [
    [{ limits: 3 }, /no option limits. Known are q, filter/],
    [{ q: 3 }, /q must be a text/],
    [{ q: 'x'.repeat(1_001) }, /q must be a text of up to 1000/],
    [{ limit: -1 }, /limit must be a whole number from 0 to 1000; found -1/],
    [{ limit: 1.5 }, /limit must be/],
    [{ offset: 10_001 }, /offset must be/],
    [{ filter: { name: 'x' } }, /filter: "name" is no field of City for that; declared are size, country/],
    [{ filter: [] }, /filter must be an object/],
    [{ filter: { size: { gt: 1, lt: 'x' } } }, /filter.size must be a value/],
    [{ filter: { size: { above: 1 } } }, /filter.size must be a value/],
    [{ filter: { size: {} } }, /filter.size must be a value/],
    [{ filter: { size: [{}] } }, /filter.size must be a value/],
    [{ filter: { country: { gt: 'a' } } }, /a range of country needs it to be filterable/],
    [{ sort: 'name' }, /sort: "name" is no field of City/],
    [{ filter: { size: Number.NaN } }, /filter.size must be a value.*numbers must be finite/],
    [{ filter: { size: { lte: Number.POSITIVE_INFINITY } } }, /filter.size must be a value/],
    [{ filter: { size: undefined } }, /filter.size must be a value/],
    [{ filter: { size: Array.from({ length: 1_001 }, (_, n) => n) } }, /a list of up to 1000 values/],
    [{ sort: 'size:up' }, /sort must be 'field'/],
    [{ sort: 5 }, /sort must be 'field'/],
    [{ sort: null }, /sort must be 'field'/],
    [{ sort: { size: 'desc' } }, /sort must be 'field'/],
    [{ facets: null }, /facets must be a list/],
    [{ facets: ['size'] }, /facets: "size" is no field/],
    [{ facets: 'country' }, /facets must be a list/],
    [{ highlight: ['size'] }, /highlight: "size"/],
  ]
  for (const [query, message] of cases) {
    assert.throws(() => checkQuery(query as SearchQuery, SETTINGS, 'City'), { code: 'option_invalid', message })
  }
})

test('what is named twice counts once', () => {
  const query = { facets: ['country', 'country'], sort: ['size:desc', 'size'] }
  const { facets, sort } = checkQuery(query, SETTINGS, 'City')
  assert.deepEqual(facets, ['country'])
  assert.deepEqual(sort, [{ field: 'size', direction: 'desc' }])
})

test('a doctype that is not searched for is refused, as is a search without PostgreSQL', async () => {
  const city = defineDoctype({ name: 'City', table: 'city', key: 'id' })
  await assert.rejects(new Search(undefined).query(city), /Doctype City is not searched for/)
  // Every text has a search.
  for (const strange of ['City', undefined, null, 5]) {
    await assert.rejects(new Search(undefined).query(strange as unknown as Doctype), /is not searched for/)
  }
  const searched = defineDoctype({ name: 'City', table: 'city', key: 'id', search: { searchable: ['name'] } })
  await assert.rejects(new Search(undefined).query(searched), /Search needs PostgreSQL/)
})
