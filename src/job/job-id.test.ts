import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { OptionError } from '../errors.ts'
import { fenceOf, formatJobId, givenPlace, parseJobId, requireJobId, requireQueueName } from './job-id.ts'

const LARGEST_BIGINT_OF_POSTGRES = 2n ** 63n - 1n
const ms = fc.integer({ min: 1_600_000_000_000, max: 2 ** 43 - 2 })
const seq = fc.integer({ min: 0, max: 2 ** 20 - 1 })
const entry = fc.tuple(ms, seq)
const text = ([at, number]: readonly [number, number]) => `${at}-${number}`

test('a fence grows with the entry id', () => {
  fc.assert(
    fc.property(entry, entry, entry, (a, b, boot) => {
      const isLater = a[0] === b[0] ? a[1] > b[1] : a[0] > b[0]
      const isAfterBoot = a[0] > boot[0]
      fc.pre(isLater && isAfterBoot)
      assert.ok(fenceOf(text(a), text(boot)) > fenceOf(text(b), text(boot)))
    }),
  )
})

test('a fence grows with the life of the server, and never falls below it', () => {
  fc.assert(
    fc.property(entry, entry, fc.integer({ min: 1, max: 1e6 }), (id, boot, later) => {
      const next: [number, number] = [Math.max(id[0], boot[0]) + later, 0]
      fc.pre(next[0] < 2 ** 43)
      // The same entry, read again after the server forgot that it had been read.
      assert.ok(fenceOf(text(id), text(next)) > fenceOf(text(id), text(boot)))
      assert.equal(fenceOf(text(id), text(next)), fenceOf(text(next), text(boot)))
    }),
  )
})

test('a fence fits a signed 64-bit integer', () => {
  fc.assert(
    fc.property(entry, entry, (id, boot) => {
      const fence = fenceOf(text(id), text(boot))
      assert.ok(fence > 0n && fence <= LARGEST_BIGINT_OF_POSTGRES)
    }),
  )
  assert.ok(fenceOf(`${new Date('2248-01-01').getTime()}-1048575`, '1-0') <= LARGEST_BIGINT_OF_POSTGRES)
})

test('a sequence beyond 20 bits still counts', () => {
  assert.ok(fenceOf('5-1048577', '0-0') > fenceOf('5-1048575', '0-0'))
})

test('given places are well-formed, and different even in the same millisecond', () => {
  const places = Array.from({ length: 20_000 }, () => givenPlace(1_732_464_000_000))
  assert.equal(new Set(places).size, places.length)
  for (const place of places) assert.match(place, /^g[A-Za-z0-9_-]{20}$/)
})

test('a given place begins with its second', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 42 }), (at) => {
      const seconds = Buffer.from(givenPlace(at).slice(1), 'base64url').readUIntBE(0, 5)
      assert.equal(seconds, Math.floor(at / 1000))
    }),
  )
})

const place = fc.oneof(
  entry.map(text),
  ms.map((at) => givenPlace(at)),
)
const queueName = fc.stringMatching(/^[a-z][a-z0-9_-]{0,63}$/)

test('a job id tells its queue and place', () => {
  fc.assert(
    fc.property(queueName, place, (queue, where) => {
      assert.deepEqual(parseJobId(formatJobId(queue, where)), { queue, shard: 0, place: where })
    }),
  )
})

const NO_IDS = [
  '',
  'default',
  '1732464000000-5',
  'default.1732464000000-5',
  'default.0.',
  'default.0.17324640-',
  'default.x.1-1',
  'Default.0.1-1',
  'a.b.0.1-1',
  'default.0.gshort',
  `default.0.g${'a'.repeat(21)}`,
  'default.0.1-1\n',
  '{moca:x}:q:default',
]

for (const id of NO_IDS) {
  test(`${JSON.stringify(id)} is no job id`, () => {
    assert.equal(parseJobId(id), undefined)
    assert.throws(() => requireJobId(id), { code: 'option_invalid', message: /A job id looks like/ })
  })
}

test('queue names hold no character that means something in keys and ids', () => {
  for (const name of ['critical', 'a', 'mail-out_2', 'x'.repeat(64)]) assert.equal(requireQueueName(name), name)
  for (const name of ['', 'A', '1a', '-a', 'a.b', 'a:b', 'a{b}', 'a b', 'ä', 'x'.repeat(65), 'a\n']) {
    assert.throws(() => requireQueueName(name), OptionError, name)
  }
})
