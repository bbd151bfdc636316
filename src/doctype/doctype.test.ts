import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defineDoctype, type Doctype, type DoctypeOptions } from './doctype.ts'
import { ConfigError } from '../errors.ts'

const BASE: DoctypeOptions = { name: 'City', table: 'city', key: 'id' }

const DEFINED: readonly [options: Partial<DoctypeOptions>, expected: Partial<Doctype>][] = [
  [{}, { schema: 'public', table: 'city', key: ['id'], site: undefined, omit: [] }],
  [{ table: 'geo.City' }, { schema: 'geo', table: 'City' }],
  [{ table: ['geo.data', 'a "city"'] }, { schema: 'geo.data', table: 'a "city"' }],
  [{ key: ['country', 'id'] }, { key: ['country', 'id'] }],
  [
    { site: 'tenant', omit: ['body', 'secret'] },
    { site: 'tenant', omit: ['body', 'secret'] },
  ],
]

test('completes and freezes what is given', () => {
  for (const [options, expected] of DEFINED) {
    const doctype = defineDoctype({ ...BASE, ...options })
    assert.deepEqual({ ...doctype, ...expected }, doctype)
    assert.ok(Object.isFrozen(doctype) && Object.isFrozen(doctype.key) && Object.isFrozen(doctype.omit))
  }
})

const REFUSED: readonly [options: object, message: RegExp][] = [
  [{ name: '' }, /name of a doctype must be 1 to 50/],
  [{ name: 'Sales Order' }, /name of a doctype .* found "Sales Order"/],
  [{ name: 'a'.repeat(51) }, /name of a doctype/],
  [{ tabel: 'x' }, /Doctype City has no option tabel\. Known are name, table, key, site, omit/],
  [{ table: '' }, /table of doctype City must be a table's name/],
  [{ table: 'a.b.c' }, /table of doctype City/],
  [{ table: ['a'.repeat(64), 'b'] }, /table of doctype City/],
  [{ table: undefined }, /table of doctype City .* found undefined/],
  [{ key: [] }, /key of doctype City must be a column or a list/],
  [{ key: ['id', 'id'] }, /key of doctype City/],
  [{ key: 'a\0' }, /key of doctype City/],
  [{ site: '' }, /site of doctype City must be a column/],
  [{ omit: 'body' }, /omit of doctype City must be a list/],
  [{ omit: ['id'] }, /omit of doctype City must be columns other than those of key and site; found "id"/],
  [{ site: 't', omit: ['t'] }, /omit of doctype City/],
]

test('refuses what cannot be used, with what was expected and found', () => {
  for (const [options, message] of REFUSED) {
    assert.throws(
      () => defineDoctype({ ...BASE, ...options }),
      (error) => {
        assert.ok(error instanceof ConfigError)
        assert.match(error.message, message)
        return true
      },
    )
  }
  assert.throws(() => defineDoctype(null as unknown as DoctypeOptions), /takes an object .* found null/)
})
