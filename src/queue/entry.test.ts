import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseOptions } from './entry.ts'

test('reads the options of a job, those of a later release with them', () => {
  assert.deepEqual(parseOptions(''), {})
  const options = { i: 'g1', at: 1, a: 0, er: [{ n: 1, at: 2, m: 'x' }], rt: { d: 1 }, later: { release: true } }
  assert.deepEqual(parseOptions(JSON.stringify(options)), options)
})

for (const text of [
  'null',
  '5',
  '[]',
  '"x"',
  'no JSON',
  '{"s":"x"}',
  '{"c":[]}',
  '{"i":5}',
  '{"k":{}}',
  '{"er":"x"}',
]) {
  test(`refuses options that no release wrote: ${text}`, () => {
    assert.throws(() => parseOptions(text))
  })
}
