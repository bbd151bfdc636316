import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Arena } from '../chaos/arena.ts'
import { block } from '../chaos/jobs.ts'
import { waitFor } from '../support/wait-for.ts'

const LEASE_MS = 2_000

test('a handler that blocks the event loop for three leases, and longer than maxBlocked, keeps its lease within its timeout', async () => {
  await using arena = await Arena.open({ seed: 1, leaseMs: LEASE_MS, worker: { maxBlocked: '1s' } })
  await arena.fleet.startMany(2) // the other one would take the job over
  const blocking = arena.load.enqueue({ job: block, ms: LEASE_MS * 3, waitMs: 0 })
  await waitFor(() => arena.starts(blocking.name).length === 1, { describe: 'the block to begin' })

  let unrenewedMs = 0
  const hasEnded = async () => {
    const pending = await arena.raw.send<[string, string, number][]>(
      'XPENDING',
      `${arena.prefix}q:critical`,
      'w',
      '-',
      '+',
      '9',
    )
    unrenewedMs = Math.max(unrenewedMs, ...pending.map(([, , idleMs]) => idleMs))
    return arena.ledger().some(({ name, kind }) => name === blocking.name && kind === 'end')
  }
  await waitFor(hasEnded, { timeoutMs: LEASE_MS * 6, describe: 'the block to end' })
  assert.ok(unrenewedMs < LEASE_MS, `its lease was renewed all the time; once ${unrenewedMs} ms passed`)

  await arena.drained(LEASE_MS * 6)
  const { problems, counts } = await arena.finish()
  assert.deepEqual(problems, [])
  assert.equal(counts.attempts, 1)
  assert.deepEqual([await arena.counter('rescued'), await arena.counter('stale')], [0, 0])
})
