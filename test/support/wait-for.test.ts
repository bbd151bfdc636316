import assert from 'node:assert/strict'
import { test } from 'node:test'
import { waitFor } from './wait-for.ts'

test('resolves with the first truthy value of the condition', async () => {
  let calls = 0
  assert.equal(await waitFor(() => (++calls === 3 ? 'third' : undefined), { intervalMs: 1 }), 'third')
  assert.equal(calls, 3)
})

test('takes a throw as "not yet"', async () => {
  let calls = 0
  const condition = async () => {
    if (++calls < 3) throw new Error('not ready')
    return true
  }
  assert.equal(await waitFor(condition, { intervalMs: 1 }), true)
})

test('says at the deadline what was awaited and what came last', async () => {
  await assert.rejects(
    waitFor(() => 0, { timeoutMs: 20, intervalMs: 1, describe: () => 'two jobs (one so far)' }),
    /^Error: waited 20 ms for two jobs \(one so far\); last value: 0$/,
  )
})

test('keeps the last error of the condition as the cause', async () => {
  const cause = new Error('boom')
  const waiting = waitFor(() => Promise.reject(cause), { timeoutMs: 20, intervalMs: 1, describe: 'peace' })
  await assert.rejects(
    waiting,
    (error: Error) => error.message === 'waited 20 ms for peace; it threw: Error: boom' && error.cause === cause,
  )
})

test('keeps the deadline although the condition hangs', async () => {
  await assert.rejects(
    waitFor(() => new Promise<boolean>(() => {}), { timeoutMs: 20 }),
    /did not answer in time/,
  )
})
