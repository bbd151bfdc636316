import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { type RedisServer, startRedis } from '../../test/support/redis-server.ts'
import { Connection } from '../redis/connection.ts'
import { judgeOptions, parseOptions } from './entry.ts'
import { joinScripts, LAYOUT } from './scripts.ts'

const FULL = { i: 'g1', at: 1, a: 0, er: [{ n: 1, at: 2, m: 'x' }], rt: { d: 1 }, f: '1-0', later: { release: true } }

test('reads the options of a job, those of a later release with them', () => {
  assert.deepEqual(parseOptions(''), {})
  assert.deepEqual(parseOptions(JSON.stringify(FULL)), FULL)
})

test('says what is wrong with options that no release wrote', () => {
  assert.throws(() => parseOptions('[]'), /no JSON object/)
  assert.throws(() => parseOptions('{"a":1,"er":[null]}'), /er is not of kind errors/)
  assert.throws(() => parseOptions('{"zz":[1e999]}'), /a number in zz is not finite/)
})

const nested = (arrays: number) => `{"zz":${'['.repeat(arrays)}1${']'.repeat(arrays)}}`
const error = (facts: object) => JSON.stringify({ er: [{ n: 1, at: 2, m: 'x', ...facts }] })

/** Options as anybody might write them; what is kept of those that are not sound, where that is something. */
const SOUND = [
  '',
  '{}',
  ' { } ',
  JSON.stringify(FULL),
  '{"constructor":1,"toString":"x","hasOwnProperty":null}',
  '{"at a":"x"," ":1,"":2}',
  '{"rt":[1]}',
  '{"rt":{}}',
  '{"zz":null,"y":[null,true,{"a":"b"}]}',
  error({ st: 'y', later: [1] }),
  error({ at: -8.64e15 }),
  '{"k":"\\u0000\\n\\ud83d\\ude00\\/"}',
  '{"k":"\u007f\u00a0\u2028"}',
  '{"a":1,"zz":[0,0.5,-0.5,10.25,1e05,1E+2,1e-999]}',
  // Strings that hold what is odd outside of one.
  JSON.stringify({ k: ': 01, +1, 1., .5 0x10', rs: '\\": 01', h: '{"a":01}' }),
  nested(999),
]
const ODD: [text: string, kept?: object][] = [
  ['null'],
  ['5'],
  ['[]'],
  ['[1]'],
  ['[{"a":1}]'],
  ['"x"'],
  ['no JSON'],
  [' '],
  ['{"a":1'],
  ['{"a":1}}'],
  ['{"a":1,}'],
  ['\ufeff{}'],
  ['{\n}'],
  ['{"k":"a\tb"}'],
  ['{"k":"a\u0000b"}'],
  ['{"k":"\\x"}'],
  ['{"k":"\\ud800"}'],
  ['{"k":"\\udc00x"}'],
  ['{"zz":[{"\\ud800":1}]}'],
  ['{"a":0x10}'],
  ['{"a":01}'],
  ['{"a":-01}'],
  ['{"a":+1}'],
  ['{"a":1.}'],
  ['{"a":.5}'],
  ['{"a":-.5}'],
  ['{"zz":[1, 02]}'],
  [nested(1_000)],
  ['{"a":1,"s":"x"}', { a: 1 }],
  ['{"a":1,"c":[]}', { a: 1 }],
  ['{"a":1,"i":5}', { a: 1 }],
  ['{"a":1,"k":{}}', { a: 1 }],
  ...['i', 'at', 'a', 's', 'c', 'r', 'k', 'h', 'x', 'n', 'tm', 'rt', 'kc', 'p', 'f', 'ls', 'er', 'rs', 'da', 'rb', 'ra']
    .map((name): [string, object] => [`{"${name}":null,"zz":1}`, { zz: 1 }]), // biome-ignore format: one of each
  ['{"a":1e999,"k":"x"}', { k: 'x' }],
  ['{"a":-1e999,"k":"x"}', { k: 'x' }],
  ['{"zz":[1e999],"k":"x"}', { k: 'x' }],
  ['{"rt":{"d":1e999},"k":"x"}', { k: 'x' }],
  ['{"f":"x","i":"g1"}', { i: 'g1' }],
  ['{"f":"1-","i":"g1"}', { i: 'g1' }],
  ['{"f":"1-1 ","i":"g1"}', { i: 'g1' }],
  ['{"f":"","i":"g1"}', { i: 'g1' }],
  ['{"rt":"x"}'],
  ['{"er":"x","i":"g1"}', { i: 'g1' }],
  ['{"er":{},"i":"g1"}', { i: 'g1' }],
  ['{"er":[],"i":"g1"}', { i: 'g1' }],
  ['{"er":[null],"i":"g1"}', { i: 'g1' }],
  ['{"er":{"1":{"n":1,"at":2,"m":"x"}}}'],
  ['{"er":[{"n":1,"at":2,"m":"x"},5]}'],
  ['{"er":[{"n":1,"at":2,"m":"x"},null]}'],
  ['{"er":[[1,2]]}'],
  ['{"er":[{}]}'],
  [error({ n: 'x' })],
  [error({ at: null })],
  [error({ at: 8.64e15 + 2 })],
  [error({ m: undefined })],
  [error({ st: null })],
  [error({ st: false })],
  ['{"er":[{"n":1e999,"at":1,"m":"x"}]}'],
]

describe('workers and scripts judge options alike', () => {
  let redis: RedisServer
  let connection: Connection
  before(async () => {
    redis = await startRedis()
    connection = await Connection.open({ url: redis.url }, 'judge')
    await connection.send(['SET', '{moca:judge}:layout', LAYOUT])
  })
  after(async () => {
    connection.destroy()
    await redis.stop()
  })

  const read = (file: string) => readFileSync(new URL(`./lua/${file}`, import.meta.url), 'utf8')
  const judge = `#!lua flags=no-writes
--#prelude
local kept, isSound = options(ARGV[1])
return { isSound and 'sound' or 'odd', cjson.encode(kept) }
`
  // In the place of another script.
  const { count: script } = joinScripts((file) => (file === 'count.lua' ? judge : read(file)))

  async function judgedByScripts(text: string): Promise<[verdict: string, kept: unknown]> {
    const [verdict, kept] = await connection.run<[string, string]>(script, '{moca:judge}:', [text])
    return [verdict, JSON.parse(kept)]
  }

  function judgedByWorkers(text: string): [verdict: string, kept: unknown] {
    const { options, flaw } = judgeOptions(text)
    return [flaw === undefined ? 'sound' : 'odd', JSON.parse(JSON.stringify(options))]
  }

  const name = (text: string) => (text.length > 100 ? `${text.slice(0, 20)}... (${text.length})` : JSON.stringify(text))

  for (const text of SOUND) {
    test(`sound: ${name(text)}`, async () => {
      const kept = JSON.parse(text || '{}')
      assert.deepEqual(judgedByWorkers(text), ['sound', JSON.parse(JSON.stringify(kept))])
      assert.deepEqual(await judgedByScripts(text), ['sound', JSON.parse(JSON.stringify(kept))])
    })
  }

  for (const [text, kept = {}] of ODD) {
    test(`odd: ${name(text)}`, async () => {
      assert.deepEqual(judgedByWorkers(text), ['odd', kept])
      assert.deepEqual(await judgedByScripts(text), ['odd', kept])
    })
  }
})
