import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Arena } from '../../chaos/arena.ts'
import { block, work } from '../../chaos/jobs.ts'
import { waitFor } from '../../support/wait-for.ts'

// A read leaves; the process stands still; the reply lies in its socket, so nobody knows of the jobs in it. After the lease others
// run them. Then the process wakes and must not run them again.

const LEASE_MS = 2_000

test('attack 6: a late reply does not run a job twice, after SIGSTOP in an idle worker', async () => {
  await using arena = await Arena.open({ seed: 6, leaseMs: LEASE_MS })
  const [sleeper] = await arena.fleet.startMany(1)
  assert.ok(sleeper)
  await arena.reads(sleeper)
  const thaw = sleeper.freeze()
  const { name } = arena.load.enqueue({ job: work, ms: 5 })
  await waitFor(async () => (await arena.held(sleeper)) === 1, { describe: 'the frozen worker to be given the job' })
  const [other] = await arena.fleet.startMany(1)
  await waitFor(() => arena.starts(name).length > 0, { timeoutMs: 20_000, describe: 'the other worker to run it' })
  thaw()
  arena.startLoad()
  assert.ok(await arena.works(sleeper))
  const { problems } = await arena.finish()
  assert.deepEqual(problems, [])
  assert.deepEqual(
    arena.starts(name).map(({ pid }) => pid),
    [other?.pid],
  )
})

test('attack 6: a late reply does not run a batch twice, after SIGSTOP under load', async () => {
  // Very short jobs: many are fetched ahead.
  await using arena = await Arena.open({
    seed: 6,
    leaseMs: LEASE_MS,
    load: { outstanding: 2_000, longestMs: 3, longShare: 0 },
  })
  const [sleeper] = await arena.fleet.startMany(2)
  assert.ok(sleeper)
  arena.startLoad()
  assert.ok(await arena.works(sleeper))
  // A batch is under way in most moments, not in all.
  const thaw = await waitFor(
    async () => {
      const thaw = sleeper.freeze()
      const unknown = (await arena.held(sleeper)) - sleeper.unfinished().length
      if (unknown >= 5) return thaw
      thaw()
      return undefined
    },
    { timeoutMs: 20_000, describe: 'a moment with five jobs fetched and not begun' },
  )
  const rescued = await arena.counter('rescued')
  await waitFor(async () => (await arena.counter('rescued')) >= rescued + 5, {
    timeoutMs: LEASE_MS * 10,
    describe: 'the other worker to take over',
  })
  thaw()
  assert.ok(await arena.works(sleeper))
  const { problems, counts } = await arena.finish()
  assert.deepEqual(problems, [])
  assert.ok(counts.attempts > 100)
})

test('attack 6: a reply that comes while the event loop is blocked is handed back meanwhile, and not run twice', async () => {
  await using arena = await Arena.open({ seed: 6, leaseMs: LEASE_MS })
  const [blocked] = await arena.fleet.startMany(1)
  assert.ok(blocked)
  const { name } = arena.load.enqueue({ job: block, ms: LEASE_MS * 3, waitMs: 300 })
  await waitFor(() => arena.starts(name).length > 0, { describe: 'the block to be fetched' })
  await arena.reads(blocked)
  const from = arena.starts(name)[0]?.us ?? 0
  await waitFor(() => Number(process.hrtime.bigint() / 1000n) > from + 400_000, { describe: 'the block to begin' })
  const given = arena.load.enqueue({ job: work, ms: 5 })
  await waitFor(async () => (await arena.counter('released')) === 1, {
    timeoutMs: LEASE_MS,
    describe: 'the keeper to hand the job back',
  })
  const [other] = await arena.fleet.startMany(1)
  await waitFor(() => arena.starts(given.name).length > 0, { timeoutMs: 5_000, describe: 'the other worker to run it' })
  const { problems } = await arena.finish()
  assert.deepEqual(problems, [])
  assert.deepEqual(
    arena.starts(given.name).map(({ pid, stalls }) => ({ pid, stalls })),
    [{ pid: other?.pid, stalls: 0 }],
  )
  assert.equal(await arena.counter('stale'), 0)
  assert.equal(await arena.counter('rescued'), 0)
})

test('attack 6: a reply that the network held back for longer than the lease is not run', async () => {
  await using arena = await Arena.open({ seed: 6, leaseMs: LEASE_MS, hasProxy: true })
  const slow = arena.fleet.start({ replyTimeoutMs: 30_000 })
  await slow.ready()
  await arena.reads(slow)
  arena.proxy.setFaults({ kind: 'delay', delayMs: LEASE_MS * 4, direction: 'toClient', name: /:read$/ })
  const { name } = arena.load.enqueue({ job: work, ms: 5 })
  await waitFor(async () => (await arena.held(slow)) === 1, { describe: 'the slow worker to be given the job' })
  const other = arena.fleet.start({ url: arena.redis.url })
  await waitFor(() => arena.starts(name).length > 0, { timeoutMs: 20_000, describe: 'somebody to run it' })
  // The reply arrives in the end; the worker then reads again.
  await waitFor(() => arena.proxy.holding === 0, { timeoutMs: 20_000, intervalMs: 1, describe: 'the reply to arrive' })
  arena.proxy.heal()
  arena.startLoad()
  assert.ok(await arena.works(slow))
  const { problems } = await arena.finish()
  assert.deepEqual(problems, [])
  assert.deepEqual(
    arena.starts(name).map(({ pid }) => pid),
    [other.pid],
  )
})

test('attack 6: what the keeper hands back late does not take a job that has been confirmed since', async () => {
  await using arena = await Arena.open({ seed: 6, leaseMs: LEASE_MS, hasProxy: true })
  const [member] = await arena.fleet.startMany(1)
  assert.ok(member)
  arena.proxy.setFaults({ kind: 'delay', delayMs: 250, direction: 'toServer', name: /:keeper$/ })
  for (let round = 0; round < 5; round++) {
    const { name } = arena.load.enqueue({ job: block, ms: 400, waitMs: 150 })
    await waitFor(() => arena.starts(name).length > 0, { describe: 'the block to be fetched' })
    await arena.reads(member)
    const from = arena.starts(name)[0]?.us ?? 0
    await waitFor(() => Number(process.hrtime.bigint() / 1000n) > from + 170_000, { intervalMs: 2 })
    // Given while the loop is blocked; confirmed when it wakes; the keeper's word arrives while it runs.
    const given = arena.load.enqueue({ job: work, ms: 800 })
    await arena.load.settled()
    await arena.drained()
    assert.equal(arena.starts(given.name).length, 1)
  }
  const { problems } = await arena.finish()
  assert.deepEqual(problems, [])
})
