import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { StreamRef } from './keeper-protocol.ts'
import { StreamRegistry } from './stream-registry.ts'

test('knows the four streams of each queue, and tells of nothing before another is met', () => {
  const heard: (readonly StreamRef[])[] = []
  const registry = new StreamRegistry(['critical', 'long'], (streams) => heard.push(streams))
  assert.deepEqual(
    registry.streams.map(({ queue, letter }) => `${queue} ${letter}`),
    ['critical a', 'critical s', 'critical f', 'critical m', 'long a', 'long s', 'long f', 'long m'],
  )
  for (const [ref, { queue, letter }] of registry.streams.entries()) {
    assert.equal(registry.refOf(queue, letter), ref)
    assert.deepEqual(registry.at(ref), { queue, letter })
  }
  assert.deepEqual(heard, [])
})

test('numbers a side stream once, tells of it, and changes no other number', () => {
  const heard: (readonly StreamRef[])[] = []
  const registry = new StreamRegistry(['critical'], (streams) => heard.push(streams))
  const before = registry.streams
  const ref = registry.refOf('critical', 'tinvoice.send')
  assert.equal(registry.refOf('critical', 'tinvoice.send'), ref)
  assert.equal(heard.length, 1)
  assert.deepEqual(heard[0], [...before, { queue: 'critical', letter: 'tinvoice.send' }])
  assert.deepEqual(registry.at(ref), { queue: 'critical', letter: 'tinvoice.send' })
  // A list that was handed out (to the keeper's thread) does not change behind its back.
  assert.equal(before.length, 4)
})
