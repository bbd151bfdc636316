import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { OptionError, PayloadError } from '../errors.ts'
import { cancel, describeError, fail, KEPT_ERROR_BYTES, retry, snooze, stackOf, Verdict } from './control-flow.ts'
import { storedBytes } from './stored-text.ts'

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
      for (const kept of [m, st]) {
        assert.equal(typeof kept, 'string')
        assert.ok(kept.isWellFormed())
      }
      // As its entry holds it, with the attempt's number and instant.
      assert.ok(
        storedBytes(m) + storedBytes(st) + '{"n":1000,"at":1795539896662,"m":"","st":""},'.length <= KEPT_ERROR_BYTES,
      )
    }),
  )
})

test('what costs most to store leaves room for the frames all the same', () => {
  for (const text of ['\u0001', '\u007f', '"', '/', '😀', '\ud800', 'ä', 'x']) {
    const { m, st = '' } = describeError(new Error(text.repeat(5_000)))
    assert.ok(storedBytes(m) > 350 && storedBytes(m) <= 360, `${storedBytes(m)} bytes of ${JSON.stringify(text)}`)
    assert.match(st, /^ {4}at .*control-flow\.test\.ts/)
    assert.ok(storedBytes(m) + storedBytes(st) <= 720)
  }
})

test('a stack is kept without the message, and told with it', () => {
  const error = new TypeError('one\ntwo')
  const { m, st } = describeError(error)
  assert.doesNotMatch(st ?? '', /two/)
  assert.equal(stackOf({ m, st: st as string }), `TypeError: one\ntwo\n${st}`)
  const odd = describeError(Object.assign(new Error('x'), { stack: 'thrown by hand' }))
  assert.deepEqual([odd.st, stackOf(odd)], ['thrown by hand', 'thrown by hand'])
  assert.equal(stackOf(describeError('a text')), undefined)
})

test('what the handler said comes before what made it say so', () => {
  assert.equal(describeError(new Error('429'), 'too many').m, 'too many: Error: 429')
})

test('a cut through a surrogate pair leaves no half of it', () => {
  for (const lead of ['', 'x']) assert.ok(describeError(new Error(lead + '😀'.repeat(400))).m.isWellFormed())
})
