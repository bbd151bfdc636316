import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { startRedis } from './redis-server.ts'
import { waitFor } from './wait-for.ts'

/** Also true for a process that ended but whose new parent has not collected it (containers without an init). */
function isGone(pid: number | undefined): boolean {
  assert.ok(pid)
  try {
    process.kill(pid, 0)
    return existsSync('/proc/self/stat') && / \(.*\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return true
  }
}

test('starts a server that answers, and leaves neither process nor directory', async () => {
  const redis = await startRedis()
  const { pid, dir } = redis
  assert.equal(await redis.cli(['PING']), 'PONG')
  assert.match(redis.url, /^redis:\/\/127\.0\.0\.1:\d+$/)
  await redis.stop()
  await redis.stop()
  assert.ok(isGone(pid))
  assert.equal(redis.pid, undefined)
  assert.equal(existsSync(dir), false)
})

test('keeps what was written with fsync through SIGKILL and restart', async () => {
  const redis = await startRedis({ fsync: 'always' })
  try {
    await redis.cli(['SET', 'a', '1'])
    const before = redis.pid
    await redis.kill('SIGKILL')
    await redis.restart()
    assert.notEqual(redis.pid, before)
    assert.equal(await redis.cli(['GET', 'a']), '1')
  } finally {
    await redis.stop()
  }
})

test('forgets everything on a restart without an append-only file', async () => {
  const redis = await startRedis()
  try {
    await redis.cli(['SET', 'a', '1'])
    await redis.restart()
    assert.equal(await redis.cli(['EXISTS', 'a']), '0')
  } finally {
    await redis.stop()
  }
})

test('ends a server that is stopped by SIGSTOP', async () => {
  const redis = await startRedis()
  await redis.kill('SIGSTOP')
  assert.ok(redis.pid)
  await redis.stop()
  assert.equal(redis.pid, undefined)
})

test('passes arguments on and keeps a directory that was given', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'moca-given-'))
  const redis = await startRedis({ dir, args: ['--maxmemory', '50mb'] })
  try {
    assert.equal(await redis.cli(['CONFIG', 'GET', 'maxmemory']), `maxmemory\n${50 * 1024 * 1024}`)
  } finally {
    await redis.stop()
  }
  assert.ok(existsSync(dir))
  await rm(dir, { recursive: true })
})

test('refuses a given port that is taken', async () => {
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  try {
    const { port } = other.address() as { port: number }
    await assert.rejects(startRedis({ port }), { message: `port ${port} is in use` })
  } finally {
    other.close()
  }
})

test('tells why the server did not start', async () => {
  await assert.rejects(
    startRedis({ args: ['--no-such-option', '1'] }),
    /ended while starting \(exit code 1\):[^]*no-such-option/,
  )
})

test('the server ends when the process that started it is killed', async () => {
  const program = `
    import { startRedis } from ${JSON.stringify(new URL('./redis-server.ts', import.meta.url).href)}
    const redis = await startRedis()
    console.log(JSON.stringify({ pid: redis.pid, dir: redis.dir }))
    setInterval(() => {}, 1000)`
  const starter = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = await once(starter.stdout, 'data')
  const { pid, dir } = JSON.parse(String(line)) as { pid: number; dir: string }
  assert.ok(!isGone(pid))
  starter.kill('SIGKILL')
  await waitFor(() => isGone(pid) && !existsSync(dir), { describe: `redis-server ${pid} to end with its starter` })
})

test('a forgotten server does not keep its starter alive', async () => {
  const program = `
    import { startRedis } from ${JSON.stringify(new URL('./redis-server.ts', import.meta.url).href)}
    console.log((await startRedis()).pid)`
  const starter = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = await once(starter.stdout, 'data')
  const [code] = await once(starter, 'exit')
  assert.equal(code, 0)
  await waitFor(() => isGone(Number(line)), { describe: 'the forgotten server to end' })
})
