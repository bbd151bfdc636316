import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import * as fc from 'fast-check'
import { Connection } from '../redis/connection.ts'
import { type RedisServer, startRedis } from '../../test/support/redis-server.ts'
import { cutStored, MOST_BYTES_PER_UNIT, storedBytes } from './stored-text.ts'

let redis: RedisServer
let connection: Connection
before(async () => {
  redis = await startRedis()
  connection = await Connection.open({ url: redis.url }, 'test')
})
after(async () => {
  connection.destroy()
  await redis.stop()
})

/** What the server makes of a text, without its quotes. */
async function writtenByServer(text: string): Promise<number> {
  const script = 'return #cjson.encode(cjson.decode(ARGV[1])[1]) - 2'
  return connection.send<number>(['EVAL', script, '0', JSON.stringify([text])])
}

test('counts every character as the server writes it', async () => {
  const samples = Array.from({ length: 0x300 }, (_, code) => String.fromCharCode(code))
  samples.push('\u07ff', '\u0800', '\u2028', '\ud7ff', '\ue000', '\ufffd', '\uffff', '😀', '\u{10ffff}')
  for (const text of samples) {
    const bytes = storedBytes(text)
    assert.equal(bytes, await writtenByServer(text), JSON.stringify(text))
    assert.ok(bytes <= MOST_BYTES_PER_UNIT * text.length)
  }
  const whole = samples.join('')
  assert.equal(storedBytes(whole), await writtenByServer(whole))
})

// Half pairs as well, which may or may not find each other.
const costly = fc
  .array(fc.constantFrom('\ud83d', '\ude00', '/', '\\', 'a', '\u0001', '\u007f', 'ä', '😀'))
  .map((parts) => parts.join(''))
const text = fc.oneof(fc.string({ unit: 'binary' }), fc.string(), costly)

test('a cut text fits, is well-formed, and is the longest beginning that fits', () => {
  fc.assert(
    fc.property(text, fc.nat(60), (given, limit) => {
      const cut = cutStored(given, limit)
      assert.ok(storedBytes(cut) <= limit && cut.isWellFormed())
      const whole = given.toWellFormed()
      assert.ok(whole.startsWith(cut))
      const [next] = whole.slice(cut.length)
      assert.ok(next === undefined || storedBytes(cut + next) > limit)
    }),
  )
})
