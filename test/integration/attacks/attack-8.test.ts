import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Arena, type ArenaOptions } from '../../chaos/arena.ts'
import { work } from '../../chaos/jobs.ts'
import { waitFor } from '../../support/wait-for.ts'

// Nobody can renew a lease during an outage, and idle time goes on. Whoever sweeps first afterwards must not take over the living.

const LEASE_MS = 2_000
const OUTAGE_MS = LEASE_MS * 1.5
const JOBS = 24

/** Processes that start take the whole machine: those of one arena after those of another. */
let turn: Promise<unknown> = Promise.resolve()

function inTurn<T>(action: () => Promise<T>): Promise<T> {
  const done = turn.then(action)
  turn = done.catch(() => {})
  return done
}

/** Two workers with eight long jobs each, and eight short ones that wait. */
async function openBusy(options: Partial<ArenaOptions>): Promise<Arena> {
  const arena = await Arena.open({ seed: 8, leaseMs: LEASE_MS, concurrency: 8, ...options })
  try {
    const members = await arena.fleet.startMany(2)
    for (let n = 0; n < JOBS; n++) arena.load.enqueue({ job: work, ms: n < 16 ? LEASE_MS * 3 : 5 })
    await arena.load.settled()
    await waitFor(() => members.every((member) => member.unfinished().length === 8), {
      timeoutMs: LEASE_MS * 3,
      describe: 'both workers to be busy',
    })
    return arena
  } catch (error) {
    await arena.close()
    throw error
  }
}

async function survives(
  options: Partial<ArenaOptions>,
  begin: (arena: Arena) => Promise<void> | void,
  end: (arena: Arena) => Promise<void> | void,
): Promise<void> {
  await using arena = await inTurn(() => openBusy(options))
  await begin(arena)
  await sleep(OUTAGE_MS) // the outage itself
  await end(arena)
  const { problems, counts } = await arena.finish()
  assert.deepEqual(problems, [])
  assert.equal(counts.succeeded, JOBS)
  assert.equal(counts.attempts, JOBS)
  assert.equal(await arena.counter('rescued'), 0)
  assert.equal(await arena.counter('stale'), 0)
}

// At once: they mostly wait.
describe('attack 8: an outage longer than the lease runs nothing twice', { concurrency: true }, () => {
  test('Redis is killed and restarted', () =>
    survives(
      { redis: { fsync: 'always' } },
      ({ redis }) => redis.kill('SIGKILL'),
      ({ redis }) => redis.start(),
    ))

  test('Redis stands still', () =>
    survives(
      {},
      ({ redis }) => redis.kill('SIGSTOP'),
      ({ redis }) => redis.kill('SIGCONT'),
    ))

  test('the network is cut', () =>
    survives(
      { hasProxy: true },
      ({ proxy }) => proxy.refuse(),
      ({ proxy }) => proxy.heal(),
    ))

  test('the network swallows everything and delivers it late', () =>
    survives(
      { hasProxy: true },
      ({ proxy }) => proxy.setFaults({ kind: 'hole' }),
      ({ proxy }) => proxy.heal(),
    ))
})
