import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { ConnectionError } from '../../../src/errors.ts'
import { createCounters, judgeOrder, writeUntil } from '../../support/key-writers.ts'
import { LedgerSink } from '../../support/ledger-sink.ts'
import { outboxScenes } from '../../support/outbox-scene.ts'
import { waitFor } from '../../support/wait-for.ts'

const openScene = outboxScenes({ settings: { max_connections: '60' } })
const KEYS = 24
const DURATION_MS = 8_000

test('nothing is lost and keys keep their order while relays, connections and the sink fail', async (t) => {
  const scene = await openScene(t)
  const admin = await scene.connect()
  await createCounters(admin, KEYS)
  const sink = new LedgerSink()
  const faults = { lost: 0, away: 0, terminated: 0, restarted: 0, forgotten: 0 }
  let isAway = false
  sink.intercept = () => {
    if (isAway) faults.away++
    if (isAway) return { status: 'unavailable', reason: 'The test says so' }
    if (Math.random() >= 0.03) return undefined
    faults.lost++
    return 'lost'
  }
  const relays = [0, 1, 2].map(() => scene.relay(sink))
  for (const relay of relays) relay.start()

  const stop = new AbortController()
  const connections = await Promise.all(Array.from({ length: 8 }, () => scene.connect()))
  const writing = Promise.all(
    connections.map((connection) => writeUntil(connection, stop.signal, { keys: KEYS, linger: () => wait(60) })),
  )

  // One fault after another, as fast as they can be told apart; a fixed time is what bounds the turmoil.
  const deadline = performance.now() + DURATION_MS
  for (let round = 0; performance.now() < deadline; round++) {
    await wait(40 + Math.random() * 120)
    const kind = round % 4
    if (kind === 0) {
      const ended = await admin.query<{ pid: number }>(
        `select pid from pg_stat_activity where application_name = 'moca:relay' and datname = current_database()
         order by random() limit 1`,
      )
      await admin.query('select pg_terminate_backend($1)', [ended[0]?.pid])
      faults.terminated++
    } else if (kind === 1) {
      const index = Math.floor(Math.random() * relays.length)
      await relays[index]?.stop()
      const next = scene.relay(sink)
      relays[index] = next
      next.start()
      faults.restarted++
    } else if (kind === 2) {
      isAway = true
      await wait(100)
      isAway = false
    } else {
      faults.forgotten += sink.forget(Math.floor(Math.random() * 16), 1 + Math.floor(Math.random() * 3))
    }
  }
  stop.abort()
  const committed = (await writing).reduce((sum, count) => sum + count, 0)

  const counters = new Map(
    (await admin.query<{ key: string; value: number }>('select key, value from counter')).map(({ key, value }) => [
      key,
      value,
    ]),
  )
  const expected = [...counters.values()].reduce((sum, value) => sum + value, 0)
  await waitFor(() => sink.rows.length >= expected, { describe: `${expected} events`, timeoutMs: 20_000 })
  t.diagnostic(
    JSON.stringify({ committed, events: expected, repeats: sink.repeats, refusals: sink.refusals, ...faults }),
  )
  assert.deepEqual(judgeOrder(sink.rows, counters), [])
  assert.equal(sink.rows.length, expected)
  for (const [fault, count] of Object.entries(faults)) assert.ok(count > 0, `no fault of kind ${fault} happened`)
})

test('nothing is lost when PostgreSQL itself crashes again and again', async (t) => {
  const scene = await openScene(t)
  await createCounters(await scene.connect(), KEYS)
  const sink = new LedgerSink()
  const relays = [scene.relay(sink), scene.relay(sink)]
  for (const relay of relays) relay.start()
  let crashes = 0
  for (; crashes < 4; crashes++) {
    const stop = new AbortController()
    const connections = await Promise.all(Array.from({ length: 6 }, () => scene.connect()))
    // What was under way when the server died may have been committed or not: the counters say what was.
    const writing = connections.map((connection) =>
      writeUntil(connection, stop.signal, { keys: KEYS, linger: () => wait(30) }).catch((error: unknown) => {
        if (!(error instanceof ConnectionError)) throw error
      }),
    )
    const before = sink.rows.length
    await waitFor(() => sink.rows.length > before + 30, { describe: 'events', timeoutMs: 20_000 })
    await scene.server.kill('SIGKILL')
    stop.abort()
    await Promise.all(writing)
    await scene.server.start()
  }
  const admin = await scene.connect()
  const counters = new Map(
    (await admin.query<{ key: string; value: number }>('select key, value from counter')).map(({ key, value }) => [
      key,
      value,
    ]),
  )
  const expected = [...counters.values()].reduce((sum, value) => sum + value, 0)
  await waitFor(() => sink.rows.length >= expected, { describe: `${expected} events`, timeoutMs: 20_000 })
  t.diagnostic(JSON.stringify({ crashes, events: expected, repeats: sink.repeats }))
  assert.deepEqual(judgeOrder(sink.rows, counters), [])
})
