import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Clock, systemClock } from '../../../src/clock.ts'
import { LedgerSink } from '../../support/ledger-sink.ts'
import { outboxScenes } from '../../support/outbox-scene.ts'
import { waitFor } from '../../support/wait-for.ts'

const openScene = outboxScenes()

test('brings what was committed to the sink, each once and in order per key', async (t) => {
  const scene = await openScene(t)
  const sink = new LedgerSink()
  scene.relay(sink).start()
  const ids: string[] = []
  for (let round = 0; round < 20; round++) ids.push(...(await scene.record([{ key: 'a' }, { key: 'b' }, {}])))
  await waitFor(() => sink.ids.length >= ids.length, { describe: 'all events' })
  assert.deepEqual(sink.ids.toSorted(), ids.toSorted())
  for (const key of ['a', 'b']) {
    const seqs = sink.rows.filter((row) => row.key === key).map(({ seq }) => seq)
    assert.equal(seqs.length, 20)
    assert.deepEqual(
      seqs,
      seqs.toSorted((a, b) => a - b),
    )
  }
})

test('an error that no answer of the sink explains is told, and relaying begins anew', async (t) => {
  const scene = await openScene(t)
  const sink = new LedgerSink()
  let failures = 0
  sink.intercept = () => {
    if (++failures === 1) throw new Error('a bug of the sink')
    return undefined
  }
  const told: string[] = []
  const say = (facts: object) => told.push(JSON.stringify(facts))
  const log = { debug() {}, info() {}, warn: say, error: say, child: () => log }
  scene.relay(sink, { log }).start()
  const [id] = await scene.record([{ key: 'a' }])
  await waitFor(() => sink.ids.includes(id as string), { describe: 'the event', timeoutMs: 15_000 })
  assert.ok(told.some((line) => line.includes('a bug of the sink')))
})

test('looks less often when there has been nothing for a while, and at its usual pace after the first event', async (t) => {
  const scene = await openScene(t)
  const sink = new LedgerSink()
  let aheadMs = 0
  const waits: number[] = []
  const clock: Clock = {
    monotonicMs: () => performance.now() + aheadMs,
    wallMs: () => Date.now(),
    wait: (ms, signal) => {
      waits.push(ms)
      return systemClock.wait(Math.min(ms, 5), signal)
    },
  }
  const isPace = (ms: number) => waits.slice(-20).every((wait) => wait === ms) && waits.length >= 20
  scene.relay(sink, { clock, pollIntervalMs: 10 }).start()
  const [first] = await scene.record([{ key: 'a' }])
  await waitFor(() => sink.ids.includes(first as string), { describe: 'the first event' })
  await waitFor(() => isPace(10), { describe: 'its usual pace' })
  aheadMs = 6_000
  await waitFor(() => isPace(240), { describe: 'the pace of a quiet log' })
  const [second] = await scene.record([{ key: 'b' }])
  await waitFor(() => sink.ids.includes(second as string), { describe: 'the second event' })
  await waitFor(() => isPace(10), { describe: 'its usual pace again' })
})
