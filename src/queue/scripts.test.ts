import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { type RedisServer, startRedis } from '../../test/support/redis-server.ts'
import { Connection } from '../redis/connection.ts'
import { joinScripts, LAYOUT, loadScripts, PART_NAMES, SCRIPT_NAMES } from './scripts.ts'

const folder = new URL('./lua/', import.meta.url)
const read = (file: string) => readFileSync(new URL(file, folder), 'utf8')

let redis: RedisServer
let connection: Connection
before(async () => {
  redis = await startRedis()
  connection = await Connection.open({ url: redis.url }, 'scripts')
})
after(async () => {
  connection.destroy()
  await redis.stop()
})

test('every file of the folder is a script that is known, a part of some, or the prelude', () => {
  const files = readdirSync(folder).filter((file) => file.endsWith('.lua'))
  const known = [...SCRIPT_NAMES, ...PART_NAMES, 'prelude'].map((name) => `${name}.lua`)
  assert.deepEqual(files.toSorted(), known.toSorted())
})

test('scripts are read once', () => assert.equal(loadScripts(), loadScripts()))

for (const { name, text, sha } of Object.values(loadScripts())) {
  test(`${name}: its header tells what it does, and the server compiles it under its hash`, async () => {
    const lines = read(`${name}.lua`).split('\n')
    assert.match(lines[0] ?? '', /^#!lua( flags=[\w,-]+)?$/)
    const header = lines.slice(1, lines.indexOf('--#prelude')).join('\n')
    assert.match(header, /^-- [A-Z]/)
    assert.match(header, /-- ARGV\[1\]: \{/)
    assert.match(header, /-- Returns /)
    assert.equal(sha, createHash('sha1').update(text).digest('hex'))
    assert.equal(await connection.send(['SCRIPT', 'LOAD', text]), sha)
  })
}

// What ends a job's wait or life must work in a full server, else nothing ever frees memory. What adds jobs must not.
test('only what accepts jobs is refused by a server without memory', () => {
  const accepting = ['enqueue', 'relay', 'publish', 'fire']
  for (const { name, text } of Object.values(loadScripts())) {
    const flags = /^#!lua(?: flags=([\w,-]+))?/.exec(text)?.[1]?.split(',') ?? []
    assert.equal(flags.includes('allow-oom') || flags.includes('no-writes'), !accepting.includes(name), name)
  }
})

test('every script but open refuses a namespace of another layout, and one without a layout', async () => {
  const layout = '{moca:scripts}:layout'
  for (const state of ['none', '999']) {
    if (state === 'none') await connection.send(['DEL', layout])
    else await connection.send(['SET', layout, state])
    for (const script of Object.values(loadScripts())) {
      if (script.name === 'open') continue
      await assert.rejects(
        connection.run(script, '{moca:scripts}:', ['{}']),
        { message: `MOCALAYOUT ${state}` },
        script.name,
      )
    }
  }
  assert.equal((await connection.send<string[]>(['KEYS', '{moca:scripts}:*'])).join(), layout)
})

test('open refuses a namespace of another layout, and writes nothing', async () => {
  await connection.send(['FLUSHALL'])
  await connection.send(['SET', '{moca:scripts}:layout', '2'])
  const header = JSON.stringify({ pair: 'a/b', queues: ['default'], groups: true })
  await assert.rejects(connection.run(loadScripts().open, '{moca:scripts}:', [header]), { message: 'MOCALAYOUT 2' })
  assert.deepEqual(await connection.send(['KEYS', '*']), ['{moca:scripts}:layout'])
})

test('a script is sent by its hash, and loaded by a server that does not know it', async () => {
  await connection.send(['FLUSHALL'])
  await connection.send(['SCRIPT', 'FLUSH'])
  await connection.send(['CONFIG', 'RESETSTAT'])
  const header = JSON.stringify({ pair: 'a/b', queues: [], groups: false })
  const run = async () => {
    const [id, state] = await connection.run<[string, string, string]>(loadScripts().open, '{moca:scripts}:', [header])
    return [id, state]
  }
  const [boot, first] = await run()
  assert.deepEqual([first, await run()], ['new', [boot, 'known']])
  assert.equal(await connection.send(['GET', '{moca:scripts}:layout']), LAYOUT)
  const stats = await connection.send<string>(['INFO', 'commandstats'])
  assert.match(stats, /cmdstat_script\|load:calls=1,/)
  assert.match(stats, /cmdstat_evalsha:calls=3,/)
})

test('a patch changes the joined text and with it the hash', () => {
  const patched = joinScripts(read, (text, name) => (name === 'beat' ? `${text}\n-- patched` : text))
  assert.notEqual(patched.beat.sha, loadScripts().beat.sha)
  assert.equal(patched.move.sha, loadScripts().move.sha)
  assert.match(patched.beat.text, /-- patched$/)
})

test('a script without a place for the prelude is an error', () => {
  assert.throws(() => joinScripts((file) => (file === 'move.lua' ? 'return 1' : read(file))), /lua\/move\.lua has no/)
})
