import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { StandardSchemaV1 } from '@standard-schema/spec'
import { systemClock } from '../../clock.ts'
import { defineJob, handle } from '../../job/job.ts'
import { silentLogger } from '../../logger.ts'
import { newAttempt } from './attempt.ts'
import { Executor } from './executor.ts'
import { Lane } from './lane.ts'
import { LeaseTable } from './lease-table.ts'
import type { Outcome } from './outcome.ts'

// Between its start and its handler an attempt may have to wait: for an asynchronous schema, or a payload that stands beside the
// stream. Meanwhile it may have ended, or become somebody else's; then the handler must not begin.

const TIMEOUT_MS = 1_000

/** One attempt that has started and waits. `arrive` is what it waits for. */
async function startLate(waitsFor: 'schema' | 'payload', onArrival: 'value' | 'issues' | 'error' = 'value') {
  const arrival = Promise.withResolvers<void>()
  const validate = async (value: unknown): Promise<StandardSchemaV1.Result<unknown>> => {
    await arrival.promise
    if (onArrival === 'error') throw new Error('the schema failed')
    return onArrival === 'issues' ? { issues: [{ message: 'no' }] } : { value }
  }
  const schema: StandardSchemaV1 = { '~standard': { version: 1, vendor: 'test', validate } }
  let nowMs = 1_000_000
  let mustConfirm = false
  let runs = 0
  const settled: Outcome[] = []
  const lane = new Lane('q', 1, 10)
  const table = LeaseTable.create(10)
  const job = defineJob({ type: 'a', timeout: TIMEOUT_MS, ...(waitsFor === 'schema' ? { payload: schema } : {}) })
  const executor = new Executor({
    lanes: [lane],
    table,
    clock: { ...systemClock, monotonicMs: () => nowMs },
    log: silentLogger,
    strict: false,
    graceMs: 50,
    settle: (_, outcome) => settled.push(outcome),
    onRoom: () => {},
    expects: () => false,
    mustConfirm: () => mustConfirm,
    confirm: () => {},
    loadPayload: async () => {
      await arrival.promise
      return '1'
    },
    serverNow: () => Date.now(),
  })
  const entry = '1732464000000-0'
  const attempt = newAttempt(
    {
      lane,
      letter: 'm',
      entry,
      place: entry,
      type: 'a',
      handler: handle(job, () => void runs++),
      options: waitsFor === 'payload' ? { p: 1 } : {},
      payloadText: '1',
      slot: table.hold(0, entry, nowMs),
      bootId: '1-0',
    },
    nowMs,
  )
  executor.accept([attempt])
  await new Promise(setImmediate) // shares are dealt in a turn of its own
  assert.equal(executor.running, 1)
  return {
    executor,
    attempt,
    pass: (ms: number) => {
      nowMs += ms
    },
    stall: () => {
      mustConfirm = true
    },
    /** What it waits for comes; how often its handler ran then, and what was reported. */
    arrive: async () => {
      arrival.resolve()
      for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate)
      assert.deepEqual([executor.running, lane.running], [0, 0], 'its place is free')
      return { runs, outcomes: settled.map(({ r }) => r), first: settled[0] }
    },
  }
}

for (const waitsFor of ['schema', 'payload'] as const) {
  test(`after a wait for its ${waitsFor} a handler begins`, async () => {
    const late = await startLate(waitsFor)
    const { runs, outcomes } = await late.arrive()
    assert.deepEqual([runs, outcomes], [1, ['completed']])
  })

  test(`a handler does not begin after a wait for its ${waitsFor} when its attempt was given up meanwhile`, async () => {
    const late = await startLate(waitsFor)
    late.executor.abandonAll()
    const { runs, outcomes } = await late.arrive()
    assert.deepEqual([runs, outcomes], [0, ['released']])
  })

  test(`a handler does not begin after a wait for its ${waitsFor} when the server forgot its attempt meanwhile`, async () => {
    const late = await startLate(waitsFor)
    assert.deepEqual(
      late.executor.forget(() => true),
      [late.attempt],
    )
    const { runs, outcomes } = await late.arrive()
    assert.deepEqual([runs, outcomes], [0, []])
  })

  test(`a timeout that passes while an attempt waits for its ${waitsFor} counts as a failure, and its handler does not begin`, async () => {
    const late = await startLate(waitsFor)
    late.pass(TIMEOUT_MS)
    late.executor.checkDeadlines()
    const { runs, outcomes, first } = await late.arrive()
    assert.deepEqual([runs, outcomes], [0, ['delayed']])
    assert.ok(first?.r === 'delayed' && first.a === true, 'an attempt is charged')
  })

  test(`a handler does not begin when the grace after its timeout passed as well while it waited for its ${waitsFor}`, async () => {
    const late = await startLate(waitsFor)
    late.pass(TIMEOUT_MS)
    late.executor.checkDeadlines()
    late.pass(50)
    late.executor.checkDeadlines()
    const { runs, outcomes } = await late.arrive()
    assert.deepEqual([runs, outcomes], [0, ['delayed']])
  })

  test(`a handler does not begin when a stop began while its attempt waited for its ${waitsFor}: the job goes back`, async () => {
    const late = await startLate(waitsFor)
    late.executor.abortAll()
    const { runs, outcomes } = await late.arrive()
    assert.deepEqual([runs, outcomes], [0, ['released']])
  })

  test(`a handler does not begin when its lease was lost while its attempt waited for its ${waitsFor}`, async () => {
    const late = await startLate(waitsFor)
    late.executor.leaseLost([late.attempt])
    const { runs, outcomes } = await late.arrive()
    assert.deepEqual([runs, outcomes], [0, ['released']])
  })

  test(`a handler does not begin when the process stood still while its attempt waited for its ${waitsFor}`, async () => {
    const late = await startLate(waitsFor)
    late.stall()
    const { runs, outcomes } = await late.arrive()
    assert.deepEqual([runs, outcomes], [0, ['released']])
  })
}

test('a payload found invalid after the process stood still is judged by whoever runs the job next', async () => {
  const late = await startLate('schema', 'issues')
  late.stall()
  assert.deepEqual((await late.arrive()).outcomes, ['released'])
})

test('a schema that rejects is a failure like one of the handler: one attempt is charged', async () => {
  const late = await startLate('schema', 'error')
  const { runs, outcomes, first } = await late.arrive()
  assert.deepEqual([runs, outcomes], [0, ['delayed']])
  assert.ok(first?.r === 'delayed' && first.a === true && first.er?.m === 'Error: the schema failed')
})

test('a schema that rejects after its timeout is one failure, and named a timeout', async () => {
  const late = await startLate('schema', 'error')
  late.pass(TIMEOUT_MS)
  late.executor.checkDeadlines()
  const { outcomes, first } = await late.arrive()
  assert.deepEqual(outcomes, ['delayed'])
  assert.match((first?.r === 'delayed' && first.er?.m) || '', /HandlerTimeoutError/)
})

test('a schema that rejects when its attempt was given up, forgotten or stopped meanwhile is no failure', async () => {
  const ends: [(late: Awaited<ReturnType<typeof startLate>>) => void, string[]][] = [
    [(late) => late.executor.abandonAll(), ['released']],
    [(late) => late.executor.abortAll(), ['released']],
    [(late) => void late.executor.forget(() => true), []],
  ]
  for (const [end, expected] of ends) {
    const late = await startLate('schema', 'error')
    end(late)
    assert.deepEqual((await late.arrive()).outcomes, expected)
  }
})
