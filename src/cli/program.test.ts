import assert from 'node:assert/strict'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { Project } from '../../test/support/command-line.ts'
import { startRedis } from '../../test/support/redis-server.ts'

let project: Project
before(async () => {
  // Nobody listens on port 1.
  project = await Project.make({ REDIS_URL: 'redis://someone:hunter2@127.0.0.1:1' })
})
after(() => project.remove())

test('explains itself', async () => {
  const { code, stdout } = await project.run(['queue', 'list', '--help'])
  assert.equal(code, 0)
  assert.match(
    stdout,
    /Usage: moca queue list[^]*--cursor[^]*Global Options:[^]*--namespace[^]*Examples:\n {2}moca queue list/,
  )
  assert.match((await project.run(['--version'])).stdout, /^\d+\.\d+\.\d+\n$/)
  for (const command of ['', 'worker', 'worker start', 'queue', 'queue purge', 'verify', 'migrate']) {
    const help = await project.run([...command.split(' ').filter(Boolean), '--help'])
    assert.match(help.stdout, /\n\nExamples:\n {2}moca /, command)
  }
})

for (const args of [
  [],
  ['queue'],
  ['queue', 'lst'],
  ['queue', 'list', '--wat'],
  ['queue', 'inspect'],
  ['queue', 'list', '--limit', 'x'],
  ['verify', '--timeout', 'soon'],
]) {
  test(`moca ${args.join(' ')} is wrong use`, async () => {
    const { code, stdout, stderr } = await project.run(args)
    assert.deepEqual([code, stdout], [2, ''])
    assert.match(stderr, args.length < 2 ? /Usage: moca/ : /^Error: {3}.*\n[^]*Fix: {5}./)
  })
}

test('ends with 3 where no server can be reached, and never shows a password', async () => {
  const { code, stdout, stderr } = await project.run(['queue', 'status', '--namespace', 'shop', '--verbose'])
  assert.deepEqual([code, stdout], [3, ''])
  assert.match(
    stderr,
    /^Error: {3}Could not connect to Redis at 127\.0\.0\.1:1: .*\nContext: namespace shop, Redis at 127\.0\.0\.1:1, no configuration file\nFix: {5}Is Redis running/,
  )
  assert.doesNotMatch(stderr, /hunter2/)
})

test('with --json an error is one JSON object on standard error', async () => {
  const { code, stdout, stderr } = await project.run(['verify', '--json'])
  assert.deepEqual([code, stdout], [3, ''])
  const { error, code: errorCode, exitCode } = JSON.parse(stderr)
  assert.match(error, /Could not connect/)
  assert.deepEqual([errorCode, exitCode], ['connection_lost', 3])
})

test('with --json also wrong use is one JSON object on standard error', async () => {
  for (const args of [
    [],
    ['queue'],
    ['queue', 'lst'],
    ['queue', 'status', 'a', 'b'],
    ['queue', 'inspect', 'nonsense'],
    ['queue', 'retry'],
    ['queue', 'purge', '--older-than', '5m'],
    ['worker', 'start', '--concurrency', 'x'],
  ]) {
    const { code, stdout, stderr } = await project.run([...args, '--json'])
    const what = `${args.join(' ')}: ${stderr}`
    assert.deepEqual([code, stdout], [2, ''], what)
    const { error, fix, exitCode } = JSON.parse(stderr)
    assert.match(error, /^[A-Z-].*[^.]\.?$/, what)
    assert.ok(fix.length > 0 && exitCode === 2, what)
  }
})

test('a length of time needs its unit, and the message says so', async () => {
  for (const args of [
    ['queue', 'retry', '--all-failed', '--older-than', '5'],
    ['queue', 'status', '--timeout', '5'],
  ]) {
    const { code, stderr } = await project.run(args)
    assert.equal(code, 2)
    const flag = args.at(-2)
    assert.match(stderr, new RegExp(`^Error: {3}${flag} must be a number with a unit, like 500ms, .*; found "5"\n`))
  }
})

test('a namespace that cannot be used is blamed on the flag, or the variable, that brought it', async () => {
  const flag = await project.run(['queue', 'status', '--namespace', 'bad name'], { MOCA_NAMESPACE: 'good' })
  assert.equal(flag.code, 2)
  assert.match(flag.stderr, /namespace \(from --namespace\): expected 1 to 64 of .*; found "bad name"/)
  const variable = await project.run(['queue', 'status'], { MOCA_NAMESPACE: 'bad name' })
  assert.match(variable.stderr, /namespace \(from MOCA_NAMESPACE\): expected/)
})

test('an empty --namespace, as an unset variable makes it, is refused: it would mean another one', async () => {
  const { code, stderr } = await project.run(['queue', 'purge', '--all', '--force', '--namespace', ''])
  assert.equal(code, 2)
  assert.match(stderr, /--namespace is empty/)
  const config = await project.run(['queue', 'status', '--config', ''])
  assert.equal(config.code, 2)
  assert.match(config.stderr, /There is no configuration file/)
})

test('a server that refuses the password or a command is told from one that cannot be reached', async () => {
  const redis = await startRedis()
  const { host } = new URL(redis.url)
  try {
    await redis.cli(['CONFIG', 'SET', 'requirepass', 'hunter2'])
    const wrong = await project.run(['queue', 'status'], { REDIS_URL: `redis://:wrong@${host}` })
    assert.equal(wrong.code, 3)
    assert.match(
      wrong.stderr,
      /lets nobody in with this user and password: WRONGPASS[^]*Fix: {5}Redis runs, and refuses/,
    )
    const none = await project.run(['queue', 'status'], { REDIS_URL: `redis://${host}` })
    assert.equal(none.code, 3)
    assert.match(none.stderr, /wants a password, and redis\.url has none: NOAUTH/)
    assert.doesNotMatch(wrong.stderr + none.stderr, /:wrong|hunter2/)
    const right = { REDIS_URL: `redis://:hunter2@${host}` }
    assert.equal((await project.run(['queue', 'status'], right)).code, 0)
    const may = ['+@read', '+@connection', '+info', '+client', '~*', '>hunter2', 'on']
    await redis.cli(['-a', 'hunter2', 'ACL', 'SETUSER', 'reader', ...may])
    const reader = await project.run(['queue', 'status', '--json'], { REDIS_URL: `redis://reader:hunter2@${host}` })
    const { error, code, fix, exitCode } = JSON.parse(reader.stderr)
    assert.match(error, /^Redis refused SCRIPT\|EXISTS to this user: NOPERM/)
    assert.match(fix, /docs\/reference\/redis-user\.md/)
    assert.deepEqual([code, exitCode, reader.code], ['redis_refused', 1, 1])
    const lacks = async (command: string, args: string[], grant: string[] = []) => {
      await redis.cli(['-a', 'hunter2', 'ACL', 'SETUSER', 'reader', 'reset', ...may, '+@all', command, ...grant])
      const ended = await project.run(args, { REDIS_URL: `redis://reader:hunter2@${host}` })
      assert.equal(ended.code, 1, ended.stderr)
      return ended.stderr
    }
    const list = ['queue', 'list', '--queue', 'default', '--status', 'dead']
    assert.match(
      await lacks('-zrange', list),
      /Redis refused ZRANGE \{moca:default\}:q:default:dead to this user: NOPERM[^]*Grant \+zrange/,
    )
    assert.match(
      await lacks('-evalsha', ['queue', 'status']),
      /Redis refused the script open to this user: NOPERM[^]*Grant \+evalsha/,
    )
    assert.match(
      await lacks('-xlen', ['queue', 'status', '--queue', 'default']),
      /Redis refused the script count to this user: ERR[^]*Grant/,
    )
    assert.match(
      await lacks('+get', ['queue', 'status'], ['resetkeys', '~other:*']),
      /Redis refused the script open to this user: NOPERM[^]*keys[^]*Grant the keys ~\{moca:default\}:\*/,
    )
  } finally {
    await redis.stop()
  }
})

test('--timeout bounds the wait for a server that accepts and says nothing', async () => {
  const mute = createServer().listen(0, '127.0.0.1')
  await once(mute, 'listening')
  try {
    const url = `redis://127.0.0.1:${(mute.address() as AddressInfo).port}`
    const { code, stderr } = await project.run(['queue', 'status', '--timeout', '300ms'], { REDIS_URL: url })
    assert.equal(code, 3)
    assert.match(stderr, /did not answer within \d+ ms/)
  } finally {
    mute.close()
  }
})

test('--timeout waits for a server that comes up', async () => {
  const redis = await startRedis()
  try {
    await redis.kill('SIGTERM')
    const waiting = project.run(['queue', 'status', '--timeout', '30s', '--json'], { REDIS_URL: redis.url })
    await redis.start()
    assert.equal((await waiting).code, 0)
  } finally {
    await redis.stop()
  }
})

test('refuses a server that evicts keys, and a namespace of another layout', async () => {
  const redis = await startRedis({ args: ['--maxmemory-policy', 'allkeys-lru'] })
  try {
    const evicting = await project.run(['queue', 'status'], { REDIS_URL: redis.url })
    assert.equal(evicting.code, 1)
    assert.match(evicting.stderr, /maxmemory-policy is allkeys-lru/)
    await redis.cli(['CONFIG', 'SET', 'maxmemory-policy', 'noeviction'])
    await redis.cli(['SET', '{moca:default}:layout', '2'])
    const newer = await project.run(['queue', 'status'], { REDIS_URL: redis.url })
    assert.equal(newer.code, 1)
    assert.match(newer.stderr, /layout 2; this release of Moca knows layout 1/)
  } finally {
    await redis.stop()
  }
})

test('--config and --namespace come before the configuration found and the environment', async () => {
  await writeFile(join(project.dir, 'other.mjs'), `export default { namespace: 'other', worker: { leese: 1 } }`)
  const bad = await project.run(['queue', 'status', '--config', 'other.mjs'])
  assert.equal(bad.code, 2)
  assert.match(bad.stderr, /worker\.leese: there is no such option; did you mean lease\?/)
  await writeFile(join(project.dir, 'other.mjs'), `export default { namespace: 'other' }`)
  const env = { MOCA_NAMESPACE: 'env' }
  assert.match((await project.run(['queue', 'status', '--config', 'other.mjs'])).stderr, /namespace other,.*other\.mjs/)
  assert.match((await project.run(['queue', 'status', '--config', 'other.mjs'], env)).stderr, /namespace env,/)
  assert.match((await project.run(['queue', 'status', '--namespace', 'flag'], env)).stderr, /namespace flag,/)
  assert.equal((await project.run(['queue', 'status', '--config', 'none.ts'])).code, 2)
})
