import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DeliveryCheck, isExact } from './delivery-check.ts'
import { makeBatches, makePayload, payloadBytes } from './payload.ts'

test('every payload is 200 bytes of JSON', () => {
  for (const n of [0, 9, 10, 99, 12_345, 1_000_000]) {
    assert.equal(Buffer.byteLength(JSON.stringify(makePayload(n))), payloadBytes)
  }
})

test('cuts payloads into calls without a gap', () => {
  const batches = makeBatches(25, 10, 100)
  assert.deepEqual(
    batches.map((batch) => batch.length),
    [10, 10, 5],
  )
  assert.deepEqual(
    batches.flat().map(({ n }) => n),
    Array.from({ length: 25 }, (_, index) => 100 + index),
  )
})

test('a delivery of each job once is exact', () => {
  const check = new DeliveryCheck(1200, 1200)
  for (const payload of makeBatches(1200, 100).flat().toReversed()) check.record(payload)
  assert.ok(check.isComplete)
  assert.ok(isExact(check.verdict()))
})

test('names what is missing, repeated, unknown and damaged', () => {
  const check = new DeliveryCheck(3, 3)
  check.record(makePayload(0))
  check.record(makePayload(0))
  check.record(makePayload(7))
  check.record({ n: 1, text: 'cut' })
  assert.deepEqual(check.verdict(), { expected: 3, delivered: 1, missing: 2, repeated: 1, damaged: 2 })
  assert.ok(!check.isComplete)
  assert.ok(!isExact(check.verdict()))
})

test('learns late how many jobs there are', () => {
  const check = new DeliveryCheck(10)
  for (const payload of makeBatches(5, 5).flat()) check.record(payload)
  assert.ok(!check.isComplete)
  check.expect(5)
  assert.ok(check.isComplete)
  assert.ok(isExact(check.verdict()))
  check.expect(4)
  assert.ok(!isExact(check.verdict()), 'a job more than were sent')
})
