import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { OptionError } from '../errors.ts'
import { encodeOptions, type EnqueueOptions } from './enqueue-options.ts'

const DAY_MS = 86_400_000
const encode = (options: EnqueueOptions) => encodeOptions(options, DAY_MS)

const at = new Date('2026-01-01T00:00:00Z')
const TABLE: [EnqueueOptions, object, object][] = [
  [{}, {}, {}],
  [{ delay: '5m' }, {}, { in: 300_000 }],
  [{ delay: 0 }, {}, { in: 0 }],
  [{ runAt: at }, {}, { on: at.getTime() }],
  [{ runAt: new Date(0) }, {}, { on: 0 }],
  [{ expiresIn: '1h' }, { x: 3_600_000 }, {}],
  [{ timeout: '30s', attempts: 1 }, { tm: 30_000, n: 1 }, {}],
  [{ timeout: 0 }, { tm: 0 }, {}],
  [{ key: 'customer:7' }, { k: 'customer:7' }, { k: 'customer:7' }],
  [{ headers: { traceparent: '00-1' } }, { h: '{"traceparent":"00-1"}' }, {}],
  [{ headers: {} }, { h: '{}' }, {}],
]

for (const [options, entry, control] of TABLE) {
  test(`encodes ${JSON.stringify(options)}`, () => assert.deepEqual(encode(options), { entry, control }))
}

test('an idempotency key becomes a short mark, always the same, and is stored nowhere', () => {
  const secret = 'order:42:charge'
  const { entry, control } = encode({ idempotencyKey: secret })
  assert.deepEqual(entry, {})
  assert.match(control.u ?? '', /^[\w-]{16}$/)
  assert.equal(control.ut, DAY_MS)
  assert.equal(encode({ idempotencyKey: secret }).control.u, control.u)
  assert.notEqual(encode({ idempotencyKey: `${secret} ` }).control.u, control.u)
})

const REFUSED: [Record<string, unknown>, RegExp][] = [
  [{ delay: '5m', runAt: at }, /either delay or runAt/],
  [{ delay: -1 }, /^delay must be a duration/],
  [{ runAt: 'tomorrow' }, /^runAt must be a valid Date/],
  [{ runAt: Date.now() }, /^runAt must be a valid Date/],
  [{ runAt: new Date(Number.NaN) }, /^runAt must be a valid Date/],
  [{ expiresIn: 'soon' }, /^expiresIn must be a duration/],
  [{ timeout: -5 }, /^timeout must be a duration/],
  [{ attempts: 0 }, /^attempts must be a whole number/],
  [{ attempts: 1_001 }, /^attempts must be a whole number/],
  [{ attempts: 2.5 }, /^attempts must be a whole number/],
  [{ key: '' }, /^key must be a text of 1 to 200/],
  [{ key: 'x'.repeat(201) }, /^key must be a text of 1 to 200/],
  [{ key: 7 }, /^key must be a text/],
  [{ key: '\ud800' }, /^key must be a text/],
  [{ idempotencyKey: '' }, /^idempotencyKey must be a text of 1 to 500/],
  [{ idempotencyKey: 'x'.repeat(501) }, /^idempotencyKey must be a text/],
  [{ headers: { n: 1 } }, /^Header n must be a text; found number/],
  [{ headers: { long: 'x'.repeat(8_192) } }, /^The headers have more than 8192 bytes/],
  [{ headers: { long: 'ä'.repeat(4_100) } }, /^The headers have more than 8192 bytes/],
  [{ Delay: 5 }, /^enqueue has no option Delay\. Known are delay,/],
]

for (const [options, message] of REFUSED) {
  test(`refuses ${JSON.stringify(options).slice(0, 60)}`, () => {
    assert.throws(() => encode(options), { name: OptionError.name, code: 'option_invalid', message })
  })
}

test('whatever is accepted is an object that JSON carries unchanged', () => {
  const options = fc.record(
    {
      delay: fc.nat(),
      expiresIn: fc.nat(),
      timeout: fc.nat(),
      attempts: fc.integer({ min: 1, max: 1_000 }),
      key: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 50 }),
      idempotencyKey: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 50 }),
      headers: fc.dictionary(fc.string(), fc.string({ unit: 'binary', maxLength: 50 }), { maxKeys: 5 }),
    },
    { requiredKeys: [] },
  )
  fc.assert(
    fc.property(options, (given) => {
      const encoded = encode(given)
      assert.deepEqual(JSON.parse(JSON.stringify(encoded)), encoded)
      if (given.headers) assert.deepEqual(JSON.parse(encoded.entry.h ?? ''), { ...given.headers })
    }),
  )
})
