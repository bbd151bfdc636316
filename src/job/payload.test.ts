import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { z } from 'zod'
import { PayloadError } from '../errors.ts'
import { defineJob, type Job, type JobOptions } from './job.ts'
import { encodePayload, invalidPayload } from './payload.ts'

const LIMIT = 100

function encode(payload: unknown, schema?: JobOptions['payload'], limit = LIMIT) {
  const job = defineJob({ type: 'a', ...(schema && { payload: schema }) })
  return encodePayload(job as unknown as Job<never, unknown>, payload, limit)
}

test('any JSON value is a payload without a schema', () => {
  for (const value of [null, false, 0, '', 'text', [], [1, [2]], {}, { a: { b: null } }]) {
    assert.equal(encode(value), JSON.stringify(value))
  }
})

test('what JSON cannot carry is refused', () => {
  const circle: Record<string, unknown> = {}
  circle.self = circle
  for (const value of [undefined, () => 1, Symbol('x'), 1n, { big: 1n }, circle]) {
    assert.throws(() => encode(value), { code: 'payload_invalid', facts: { type: 'a' } })
  }
})

test('a toJSON that throws no Error refuses its payload all the same', () => {
  const hostile = {
    toJSON() {
      throw undefined // oxlint-disable-line typescript/only-throw-error -- the worst that a caller can do
    },
  }
  assert.throws(() => encode(hostile), { code: 'payload_invalid', facts: { type: 'a' } })
})

test('the input is stored, not what the schema makes of it', () => {
  assert.equal(encode(' 42 ', z.string().trim().transform(Number)), '" 42 "')
  assert.equal(encode({ a: 1, b: 2 }, z.object({ a: z.number() })), '{"a":1,"b":2}')
})

test('the schema sees what JSON makes of the payload', () => {
  const at = new Date(0)
  assert.throws(() => encode({ at }, z.object({ at: z.date() })), PayloadError)
  assert.equal(encode({ at }, z.object({ at: z.coerce.date() })), '{"at":"1970-01-01T00:00:00.000Z"}')
  assert.throws(() => encode({ a: undefined }, z.object({ a: z.undefined(), b: z.string() })), PayloadError)
})

test('an asynchronous schema is waited for', async () => {
  const even = z.number().refine(async (value) => value % 2 === 0, 'must be even')
  assert.equal(await encode(2, even), '2')
  await assert.rejects(async () => encode(3, even), { code: 'payload_invalid', message: /must be even/ })
})

test('the limit counts bytes, not characters', () => {
  assert.equal(encode('x'.repeat(98)), `"${'x'.repeat(98)}"`)
  assert.throws(() => encode('x'.repeat(99)), {
    code: 'payload_too_large',
    facts: { type: 'a', bytes: 101, limit: LIMIT },
  })
  assert.equal(encode('ä'.repeat(49)), `"${'ä'.repeat(49)}"`)
  assert.throws(() => encode('ä'.repeat(50)), { code: 'payload_too_large' })
  assert.throws(() => encode('😀'.repeat(25)), { code: 'payload_too_large' })
})

test('the error names paths and rules, never values', () => {
  const schema = z.object({ user: z.object({ token: z.string().max(3), age: z.number() }) })
  const secret = 'hunter2'
  assert.throws(
    () => encode({ user: { token: secret, age: secret } }, schema),
    (error: PayloadError) => {
      assert.match(error.message, /user\.token: .*; user\.age: /)
      assert.doesNotMatch(inspect(error, { depth: 9 }), /hunter2/)
      assert.equal((error.facts.issues as string[]).length, 2)
      return true
    },
  )
})

test('at most ten problems are named', () => {
  const issues = Array.from({ length: 30 }, (_, index) => ({
    message: `problem ${index}`,
    path: [{ key: index }, 'x'],
  }))
  const { facts, message } = invalidPayload('a', issues)
  assert.equal((facts.issues as string[]).length, 10)
  assert.match(message, /0\.x: problem 0; .*9\.x: problem 9$/)
})
