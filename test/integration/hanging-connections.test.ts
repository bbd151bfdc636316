import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Arena } from '../chaos/arena.ts'
import { work } from '../chaos/jobs.ts'
import { startRedis } from '../support/redis-server.ts'
import { waitFor } from '../support/wait-for.ts'

// A connection that hangs says nothing: no error, no end. It must be found by time, and replaced, while the process goes on.

const LEASE_MS = 3_000

describe('a worker replaces a connection that hangs', { concurrency: true }, () => {
  for (const role of ['read', 'work', 'keeper', 'wake']) {
    test(role, async () => {
      await using arena = await Arena.open({ seed: 1, leaseMs: LEASE_MS, hasProxy: true })
      const [member] = await arena.fleet.startMany(1)
      assert.ok(member)
      // Over several leases, so that its lease must be renewed all the time.
      const through = arena.load.enqueue({ job: work, ms: LEASE_MS * 3 })
      await waitFor(() => arena.starts(through.name).length === 1, { describe: 'the long job to begin' })
      arena.proxy.setFaults({ kind: 'hole', isForOldOnly: true, name: new RegExp(`:${role}$`) })
      for (let n = 0; n < 10; n++) arena.load.enqueue({ job: work, ms: 5, ...(n % 2 ? { delay: 300 } : {}) })
      await arena.load.settled()
      await arena.drained(LEASE_MS * 4)
      const { problems, counts } = await arena.finish()
      assert.deepEqual(problems, [])
      assert.equal(counts.attempts, 11)
      assert.equal(await arena.counter('rescued'), 0)
      assert.ok(member.isAlive)
    })
  }
})

test('workers follow a failover, though connections to the demoted master stay open', async () => {
  await using arena = await Arena.open({ seed: 1, leaseMs: LEASE_MS, hasProxy: true, load: { isPersistent: true } })
  const replica = await startRedis()
  try {
    const [member] = await arena.fleet.startMany(1)
    assert.ok(member)
    const { redis, proxy } = arena
    await replica.cli(['REPLICAOF', '127.0.0.1', String(redis.port)])
    const through = arena.load.enqueue({ job: work, ms: LEASE_MS * 3 })
    await waitFor(() => arena.starts(through.name).length === 1, { describe: 'the long job to begin' })
    const isCaughtUp = async () => {
      const info = await replica.cli(['INFO', 'replication'])
      const [, offset] = /slave_repl_offset:(\d+)/.exec(info) ?? []
      return info.includes('master_link_status:up') && offset === (await masterOffset())
    }
    const masterOffset = async () => /master_repl_offset:(\d+)/.exec(await redis.cli(['INFO', 'replication']))?.[1]
    await waitFor(isCaughtUp, { timeoutMs: 20_000, describe: 'the replica to catch up' })
    // An address that leads to whoever is the master, as a cloud's does.
    proxy.setTarget(() => replica.port)
    await replica.cli(['REPLICAOF', 'NO', 'ONE'])
    await redis.cli(['REPLICAOF', '127.0.0.1', String(replica.port)])
    // Everybody has left the old one, by itself.
    let clients = ''
    const hasLeft = async () => {
      clients = await redis.cli(['CLIENT', 'LIST'])
      return !/name=moca:\S+:(read|work|keeper)/.test(clients)
    }
    await waitFor(hasLeft, {
      timeoutMs: LEASE_MS * 3,
      describe: () => `all connections to leave the demoted master: ${clients}`,
    })
    const raw = (...args: string[]) => replica.cli(args)
    const base = `${arena.prefix}q:default`
    await waitFor(async () => (await raw('HGET', `${base}:n`, 'completed')) === '1', {
      timeoutMs: LEASE_MS * 5,
      describe: 'the long job to be settled at the new master',
    })
    assert.equal(arena.starts(through.name).length, 1)
    assert.equal(await raw('HGET', `${base}:n`, 'rescued'), '')
    assert.ok(member.isAlive)
  } finally {
    await replica.stop()
  }
})

test('a worker stops in time though Redis does not answer any more', async () => {
  await using arena = await Arena.open({ seed: 1, leaseMs: LEASE_MS, hasProxy: true })
  const [member] = await arena.fleet.startMany(1)
  assert.ok(member)
  arena.load.enqueue({ job: work, ms: 60_000 })
  await waitFor(() => member.unfinished().length === 1, { describe: 'the job to begin' })
  arena.proxy.setFaults({ kind: 'hole' })
  member.stop()
  await member.gone(15_000)
  assert.equal(member.exitCode, 0)
  const { stopMs = Number.POSITIVE_INFINITY } = member.parting ?? {}
  // stopTimeout is 3 s here; ending connections and the thread takes 1.5 to 2 s more, and longer on a busy machine.
  assert.ok(stopMs < 3_000 + 4_500, `it took ${stopMs} ms`)
})

test('a worker that is stopped while Redis restarts reports what had succeeded', async () => {
  await using arena = await Arena.open({ seed: 1, leaseMs: LEASE_MS, redis: { fsync: 'always' } })
  const [member] = await arena.fleet.startMany(1)
  assert.ok(member)
  const jobs = Array.from({ length: 8 }, () => arena.load.enqueue({ job: work, ms: 400 }))
  await waitFor(() => member.unfinished().length === jobs.length, { describe: 'the jobs to run' })
  await arena.redis.kill('SIGKILL')
  await waitFor(() => member.unfinished().length === 0, { describe: 'the jobs to end' })
  member.stop()
  await arena.redis.start()
  await member.gone(15_000)
  assert.equal(member.exitCode, 0)
  await arena.drained(LEASE_MS)
  const { problems, counts } = await arena.finish()
  assert.deepEqual(problems, [])
  assert.equal(counts.attempts, jobs.length)
})
