import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { OptionError, PayloadError } from '../errors.ts'
import { cancel, describeError, fail, retry, snooze, Verdict } from './control-flow.ts'

test('what a handler throws says what it wants', () => {
  const cause = new Error('429')
  const table: [Verdict, Partial<Verdict>][] = [
    [retry(), { kind: 'retry', afterMs: undefined, mayRetry: true }],
    [retry({ after: '1m', reason: 'too many', cause }), { kind: 'retry', afterMs: 60_000, message: 'too many', cause }],
    [retry({ after: 0 }), { kind: 'retry', afterMs: 0 }],
    [snooze('30s'), { kind: 'snooze', afterMs: 30_000 }],
    [fail('no such customer'), { kind: 'fail', mayRetry: true, message: 'no such customer' }],
    [fail('no such customer', { retry: false, cause }), { kind: 'fail', mayRetry: false, cause }],
    [cancel(), { kind: 'cancel' }],
  ]
  for (const [verdict, expected] of table) {
    assert.ok(verdict instanceof Verdict && verdict instanceof Error)
    for (const [name, value] of Object.entries(expected)) assert.equal(verdict[name as keyof Verdict], value, name)
  }
})

test('a time that is none is refused where it is said', () => {
  assert.throws(() => retry({ after: 'soon' as never }), OptionError)
  assert.throws(() => snooze(-1), OptionError)
})

test('an error is kept by name, message, code and stack', () => {
  const plain = describeError(new TypeError('x is not a function'))
  assert.equal(plain.m, 'TypeError: x is not a function')
  assert.match(plain.st ?? '', /control-flow\.test\.ts/)
  assert.equal(describeError(new PayloadError('payload_invalid', 'no')).m, 'PayloadError: no [payload_invalid]')
  assert.equal(describeError(fail('no such customer')).m, 'no such customer')
  assert.deepEqual(describeError('a text'), { m: 'a text' })
  assert.deepEqual(describeError(undefined), { m: 'undefined' })
})

test('whatever is thrown is described in bounded, well-formed text, and never throws itself', () => {
  const strange = fc.oneof(
    fc.anything({ withNullPrototype: true, withBigInt: true }),
    fc.string({ unit: 'binary', maxLength: 2_000 }).map((text) => new Error(text)),
    fc.anything().map((value) => Object.assign(new Error('x'), { stack: value })),
    fc.anything({ withNullPrototype: true }).map((value) => Object.assign(new Error('x'), { message: value })),
    fc.constant(Symbol('s')),
  )
  fc.assert(
    fc.property(strange, (thrown) => {
      const { m, st = '' } = describeError(thrown)
      for (const [text, longest] of [
        [m, 500],
        [st, 1_500],
      ] as const) {
        assert.equal(typeof text, 'string')
        assert.ok(text.length <= longest && text.isWellFormed())
      }
    }),
  )
})

test('a cut through a surrogate pair leaves no half of it', () => {
  for (const lead of ['', 'x']) assert.ok(describeError(new Error(lead + '😀'.repeat(400))).m.isWellFormed())
})
