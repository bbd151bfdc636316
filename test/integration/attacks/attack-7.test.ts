import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Arena } from '../../chaos/arena.ts'
import { work } from '../../chaos/jobs.ts'
import { waitFor } from '../../support/wait-for.ts'

// A connection dies without a word. For the server it lives on: it still waits in a blocking read, and takes jobs for a consumer that
// nobody listens to. What its process had sent may arrive late, after a new session has taken its place.

const LEASE_MS = 20_000 // longer than everything here: whatever is left with a dead connection is not rescued by chance

test('attack 7: what a dead connection was given is taken over by the next session, at once and uncharged', async () => {
  await using arena = await Arena.open({ seed: 7, leaseMs: LEASE_MS, hasProxy: true })
  const [member] = await arena.fleet.startMany(1)
  assert.ok(member)
  await arena.reads(member)
  arena.proxy.setFaults({ kind: 'hole', isForOldOnly: true, name: /:read$/ })
  const given = Array.from({ length: 3 }, () => arena.load.enqueue({ job: work, ms: 5 }))
  await arena.load.settled()
  await waitFor(async () => (await arena.held(member)) > 0, { describe: 'the dead connection to take a job' })
  await arena.drained(LEASE_MS / 2)
  for (const { name } of given) {
    assert.deepEqual(
      arena.starts(name).map(({ stalls, attempt }) => ({ stalls, attempt })),
      [{ stalls: 0, attempt: 1 }],
    )
  }
  arena.proxy.heal()
  const { problems } = await arena.finish()
  assert.deepEqual(problems, [])
})

test('attack 7: a dead connection does not go on reading when its packets arrive late', async () => {
  await using arena = await Arena.open({ seed: 7, leaseMs: LEASE_MS, hasProxy: true })
  const [member] = await arena.fleet.startMany(1)
  assert.ok(member)
  await arena.reads(member)
  // Its next reads lie in the network; the server hears nothing of it, not even that it was given up.
  arena.proxy.setFaults({ kind: 'hole', isForOldOnly: true, direction: 'toServer', name: /:(read|work)$/ })
  await waitFor(() => arena.proxy.holding === 2, { timeoutMs: 20_000, describe: 'packets to lie in the network' })
  // A new session is at work.
  const during = arena.load.enqueue({ job: work, ms: 5 })
  await waitFor(() => arena.starts(during.name).length === 1, {
    timeoutMs: 20_000,
    describe: 'the new session to work',
  })
  await arena.reads(member)
  arena.proxy.heal()
  await waitFor(() => arena.proxy.holding === 0, { describe: 'the late packets to arrive' })
  for (let n = 0; n < 20; n++) arena.load.enqueue({ job: work, ms: 5 })
  await arena.load.settled()
  await arena.drained(LEASE_MS / 4)
  const { problems, counts } = await arena.finish()
  assert.deepEqual(problems, [])
  assert.equal(counts.attempts, 21)
  const consumers = await arena.raw.send<string[][]>('XINFO', 'CONSUMERS', `${arena.prefix}q:default`, 'w')
  assert.equal(consumers.length, 1, `consumers ${consumers.map(([, name]) => name).join(', ')}`)
})

test('attack 7: an outcome that arrives late, and was sent again meanwhile, counts once', async () => {
  await using arena = await Arena.open({ seed: 7, leaseMs: LEASE_MS, hasProxy: true })
  const [member] = await arena.fleet.startMany(1)
  assert.ok(member)
  const jobs = Array.from({ length: 10 }, (_, n) =>
    arena.load.enqueue({ job: work, ms: 1_000, failures: n % 2, ...(n < 4 ? { key: 'k' } : {}) }),
  )
  await waitFor(() => member.unfinished().length === 7, { timeoutMs: 10_000, describe: 'the jobs to run' })
  arena.proxy.setFaults({ kind: 'hole', isForOldOnly: true, direction: 'toServer', name: /:work$/ })
  await waitFor(() => arena.proxy.holding > 0 && member.unfinished().length === 0, {
    timeoutMs: 20_000,
    describe: 'outcomes to lie in the network',
  })
  await arena.drained(LEASE_MS / 2)
  arena.proxy.heal()
  await waitFor(() => arena.proxy.holding === 0, { describe: 'the late packets to arrive' })
  const { problems, counts } = await arena.finish()
  assert.deepEqual(problems, [])
  assert.equal(counts.succeeded, jobs.length)
  assert.equal(counts.attempts, jobs.length + 5)
})
