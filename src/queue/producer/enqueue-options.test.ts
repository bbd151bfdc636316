import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import * as fc from 'fast-check'
import { OptionError } from '../../errors.ts'
import { defineJob } from '../../job/job.ts'
import { type EnqueueOptions, requireOptions } from '../../job/enqueue-options.ts'
import { ENQUEUE_MANY, encodeOptions, requireManyOptions } from './enqueue-options.ts'

const DAY_MS = 86_400_000
const CONTRACT = defineJob({ type: 'a' })
const encode = (options: EnqueueOptions) => encodeOptions(options, CONTRACT, DAY_MS)

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
  [{ retry: { attempts: 3 } }, { n: 3 }, {}],
  [{ attempts: 3, retry: { backoff: 'fixed', jitter: 0 } }, { n: 3, rt: { b: 'fixed', j: 0 } }, {}],
  [{ retry: { delay: '1h', maxDelay: '2h' } }, { rt: { d: 3_600_000, m: 7_200_000 } }, {}],
  [{ retry: { delay: '1h' } }, { rt: { d: 3_600_000 } }, {}],
  [{ retry: {} }, {}, {}],
  [{ keep: { completed: 0 } }, { kc: 0 }, {}],
  [{ keep: {} }, {}, {}],
  [{ key: 'customer:7' }, { k: 'customer:7' }, { k: 'customer:7' }],
  [{ headers: { traceparent: '00-1' } }, { h: '{"traceparent":"00-1"}' }, {}],
  [{ headers: {} }, { h: '{}' }, {}],
  [{ headers: { long: 'x'.repeat(8_000) } }, { h: `{"long":"${'x'.repeat(8_000)}"}` }, {}],
]

for (const [options, entry, control] of TABLE) {
  test(`encodes ${JSON.stringify(options).slice(0, 100)}`, () => assert.deepEqual(encode(options), { entry, control }))
}

test('a job that keeps its key when it dies says so in its entry, where it has a key', () => {
  const blocking = defineJob({ type: 'a', onDead: 'block' })
  const entryOf = (options: EnqueueOptions) => encodeOptions(options, blocking, DAY_MS).entry
  assert.deepEqual([entryOf({ key: 'k' }), entryOf({})], [{ k: 'k', b: 1 }, {}])
  assert.deepEqual(encode({ key: 'k' }).entry, { k: 'k' })
})

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
  [{ headers: { long: '\u007f'.repeat(1_400) } }, /^The headers have more than 8192 bytes/],
  [{ headers: { long: '/'.repeat(4_100) } }, /^The headers have more than 8192 bytes/],
  [{ delay: Number.NaN }, /^delay must be a duration.*found NaN$/],
  [{ delay: Number.POSITIVE_INFINITY }, /^delay must be a duration.*found Infinity$/],
  [{ delay: 1e15 }, /^delay must be a duration.*at most 36500d/],
  [{ delay: 5n }, /^delay must be a duration.*found 5n$/],
  [{ key: 5n }, /^key must be a text.*found 5n$/],
  [{ key: 'x'.repeat(100_000) }, /^key must be a text of 1 to 200.{0,200}$/],
  [{ headers: null }, /^headers must be an object of texts by name; found null$/],
  [{ headers: 'a' }, /^headers must be an object.*found "a"$/],
  [{ headers: ['a'] }, /^headers must be an object.*found a list$/],
  [{ headers: new Headers({ a: 'b' }) }, /^headers must be an object/],
  [{ headers: new Map([['a', 'b']]) }, /^headers must be an object/],
  [{ headers: { a: undefined } }, /^Header a must be a text; found undefined$/],
  [{ Delay: 5 }, /^enqueue has no option Delay\. Did you mean delay\? Known are delay,/],
  [{ idempotenceKey: 'a' }, /Did you mean idempotencyKey\?/],
  [{ zzz: 1 }, /^enqueue has no option zzz\. Known are delay,.*, queue\.$/],
  [
    { payload: 1 },
    /^Option payload is not one of enqueue: it is the second argument: enqueue\(job, payload, options\)\.$/,
  ],
  [{ backoff: 'fixed' }, /^Option backoff is not one of enqueue: it belongs into retry: \{ backoff: 'fixed' \}\.$/],
  [{ attempts: 3, retry: { attempts: 3 } }, /^Give either attempts or retry\.attempts, not both/],
  [{ retry: 3 }, /^retry must be an object \{ attempts, .*found 3$/],
  [{ retry: null }, /^retry must be an object.*found null$/],
  [{ retry: ['1h'] }, /^retry must be an object.*found a list$/],
  [{ retry: { attempts: 0 } }, /^retry: attempts must be a whole number from 1 to 1000, found 0$/],
  [{ retry: { delay: 'soon' } }, /^retry: delay must be a duration/],
  [{ retry: { backoff: 'linear' } }, /^retry: backoff must be 'exponential' or 'fixed', found "linear"$/],
  [{ retry: { jitter: 5n } }, /^retry: jitter must be from 0 to 1, found 5n$/],
  [{ retry: { max: 1 } }, /^retry has an unknown option max\. Known are attempts,/],
  [
    { retry: { delay: '2h', maxDelay: '1h' } },
    /^retry: maxDelay must be at least delay \(7200000 ms, which is given\)/,
  ],
  [
    { retry: { maxDelay: '1s' } },
    /^retry: maxDelay must be at least delay \(2000 ms, which holds where none is given\)/,
  ],
  [{ keep: '1h' }, /^keep must be an object \{ completed \}; found "1h"$/],
  [{ keep: { complete: 1 } }, /^keep has an unknown option complete\. Known is completed\.$/],
  [{ keep: { completed: -1 } }, /^keep\.completed must be a duration/],
]

for (const [options, message] of REFUSED) {
  test(`refuses ${inspect(options, { breakLength: Infinity }).slice(0, 60)}`, () => {
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
      retry: fc.record(
        {
          backoff: fc.constantFrom('exponential', 'fixed'),
          delay: fc.nat(600_000),
          jitter: fc.double({ min: 0, max: 1, noNaN: true }),
        },
        { requiredKeys: [] },
      ),
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

test('an item of enqueueMany takes its payload and no queue, and says so', () => {
  assert.deepEqual(encodeOptions({ payload: 1, attempts: 2 } as EnqueueOptions, CONTRACT, DAY_MS, ENQUEUE_MANY).entry, {
    n: 2,
  })
  assert.throws(() => encodeOptions({ queue: 'long' } as EnqueueOptions, CONTRACT, DAY_MS, ENQUEUE_MANY), {
    code: 'option_invalid',
    message: /^Option queue is not one of an item of enqueueMany: it holds for all items of a call: .*\{ queue \}/,
  })
  assert.throws(() => encodeOptions({ dealy: 1 } as EnqueueOptions, CONTRACT, DAY_MS, ENQUEUE_MANY), {
    message: /^An item of enqueueMany has no option dealy\. Did you mean delay\?/,
  })
})

test('enqueueMany itself takes only a queue', () => {
  requireManyOptions({ queue: 'long' })
  assert.throws(() => requireManyOptions({ delay: 5 }), {
    code: 'option_invalid',
    message: /delay .* belongs to the items/,
  })
  assert.throws(() => requireManyOptions({ queu: 'a' }), { code: 'option_invalid', message: /queu .* is unknown/ })
})

test('options are an object, or left out', () => {
  requireOptions(undefined, 'enqueue')
  for (const options of [null, '5m', 5, ['5m'], () => {}]) {
    assert.throws(() => requireOptions(options, 'enqueue'), {
      code: 'option_invalid',
      message: /^enqueue takes its options/,
    })
  }
})
