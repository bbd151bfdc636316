import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../../clock.ts'
import { LeaseLostError } from '../../errors.ts'
import { cancel } from '../../job/control-flow.ts'
import type { Duration } from '../../job/duration.ts'
import { defineJob, handle, type HandlerContext } from '../../job/job.ts'
import { silentLogger } from '../../logger.ts'
import { type Attempt, newAttempt } from './attempt.ts'
import { Executor, type ExecutorDeps } from './executor.ts'
import { Lane } from './lane.ts'
import { LeaseTable } from './lease-table.ts'
import type { Outcome } from './outcome.ts'

type Run = (context: HandlerContext) => unknown

/** An executor with lanes of the given weights, in order; what it reports is noted, and nothing is fetched. */
function setUp(
  weights: readonly number[],
  overrides: Partial<ExecutorDeps> & { concurrency?: number; run?: Run; timeout?: Duration } = {},
) {
  const { concurrency = 10, run = () => {}, timeout = 0, ...deps } = overrides
  const lanes = weights.map((weight, index) => new Lane(`q${index}`, weight, concurrency))
  const table = LeaseTable.create(10_000)
  const settled: { queue: string; place: string; outcome: Outcome }[] = []
  const started: string[] = []
  let entries = 0
  const executor = new Executor({
    lanes,
    table,
    clock: systemClock,
    log: silentLogger,
    strict: false,
    graceMs: 50,
    settle: ({ lane, place }, outcome) => settled.push({ queue: lane.queue, place, outcome }),
    onRoom: () => {},
    expects: () => false,
    mustConfirm: () => false,
    confirm: () => {},
    loadPayload: async () => undefined,
    serverNow: () => Date.now(),
    ...deps,
  })
  const make = (lane: Lane, options: Attempt['options'] = {}): Attempt => {
    const entry = `1732464000000-${entries++}`
    const handler = handle(defineJob({ type: 'a', timeout }), (context) => {
      started.push(lane.queue)
      return run(context)
    })
    const slot = table.hold(0, entry, 0)
    return newAttempt(
      { lane, letter: 'm', entry, place: entry, type: 'a', handler, options, payloadText: 'null', slot, bootId: '1-0' },
      0,
    )
  }
  const give = (lane: Lane, count: number): Attempt[] => {
    const attempts = Array.from({ length: count }, () => make(lane))
    executor.accept(attempts)
    return attempts
  }
  return { executor, lanes: lanes as [Lane, Lane, Lane], table, settled, started, make, give }
}

/** Lets the executor take so many turns of the event loop. */
async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise(setImmediate)
}

function shares(started: readonly string[]): number[] {
  return ['q0', 'q1', 'q2'].map((queue) => started.filter((name) => name === queue).length)
}

test('in each round lanes with jobs start their shares by weight', async () => {
  const { lanes, give, started } = setUp([6, 3, 1])
  for (const lane of lanes) lane.allowance = 0
  for (const lane of lanes) give(lane, 1_000)
  await turns(8)
  const [a = 0, b = 0, c = 0] = shares(started)
  assert.ok(a + b + c >= 300)
  assert.ok(Math.abs(a / b - 2) < 0.1 && Math.abs(a / c - 6) < 0.6, `${a} ${b} ${c}`)
})

test('weights far apart stay what they are', async () => {
  const { lanes, give, started } = setUp([100, 1])
  give(lanes[1], 50)
  give(lanes[0], 3_000)
  await turns(40)
  const [a = 0, b = 0] = shares(started.slice(100))
  assert.ok(b >= 1 && a / b > 60, `${a} ${b}`)
})

test('a lane whose next jobs are on their way keeps its share: the others wait for it', async () => {
  const onTheWay = new Set<Lane>()
  const { lanes, give, started } = setUp([6, 3, 1], { expects: (lane) => onTheWay.has(lane) })
  const [a, b, c] = lanes
  onTheWay.add(a)
  give(a, 10)
  give(b, 200)
  give(c, 200)
  await turns(20)
  const waited = shares(started)
  assert.equal(waited[0], 10)
  assert.ok((waited[1] ?? 0) <= 64 && (waited[2] ?? 0) <= 64, String(waited))
  // Its jobs come, and the round goes on.
  give(a, 500)
  await turns(20)
  assert.ok((shares(started)[0] ?? 0) > 200)
})

test('nobody waits for a lane whose jobs will not come, or that has no room for them', async () => {
  const onTheWay = new Set<Lane>()
  const { executor, lanes, give, started } = setUp([6, 1], { expects: (lane) => onTheWay.has(lane) })
  const [a, b] = lanes
  onTheWay.add(a)
  give(a, 1)
  give(b, 300)
  await turns(5)
  assert.ok((shares(started)[1] ?? 0) < 300)
  onTheWay.delete(a)
  executor.resume()
  await turns(10)
  assert.equal(shares(started)[1], 300)

  onTheWay.add(a)
  a.running = a.concurrency
  give(b, 300)
  await turns(10)
  assert.equal(shares(started)[1], 600)
})

test('attempts that were handed back meanwhile use up nothing of their share', async () => {
  const { lanes, table, give, started } = setUp([6, 3, 1])
  const [a, , c] = lanes
  for (const lane of lanes) lane.running = lane.concurrency // nothing can start
  give(c, 50)
  assert.equal(table.takeUnstarted(Number.POSITIVE_INFINITY).length, 50)
  give(c, 5)
  give(a, 1_000)
  for (const lane of lanes) lane.running = 0
  give(c, 0)
  await turns(2)
  assert.ok((shares(started)[2] ?? 0) >= 5)
})

test('with strict, a lane starts nothing while one of a higher weight has jobs, or has them on their way', async () => {
  const onTheWay = new Set<Lane>()
  const { lanes, give, started, executor } = setUp([6, 3], { strict: true, expects: (lane) => onTheWay.has(lane) })
  const [a, b] = lanes
  onTheWay.add(a)
  give(b, 5)
  await turns(3)
  assert.equal(started.length, 0)
  give(a, 300)
  await turns(1)
  assert.ok(!started.includes('q1'))
  await turns(10)
  assert.deepEqual(shares(started), [300, 0, 0])
  onTheWay.delete(a)
  executor.resume()
  await turns(2)
  assert.deepEqual(shares(started), [300, 5, 0])
})

test('one turn of the event loop starts no more than 64, whatever the handlers are', async () => {
  for (const run of [() => {}, async () => {}]) {
    const { lanes, give, started } = setUp([1], { run })
    give(lanes[0], 1_000)
    let before = started.length
    while (started.length < 1_000) {
      await turns(1)
      assert.ok(started.length - before <= 128, `${started.length - before} in one turn`)
      before = started.length
    }
  }
})

test('no more run at once than the lane allows', async () => {
  const { promise, resolve } = Promise.withResolvers<void>()
  const { executor, lanes, give, settled } = setUp([1], { concurrency: 3, run: () => promise })
  give(lanes[0], 10)
  await turns(3)
  assert.deepEqual([executor.running, executor.buffered], [3, 7])
  resolve()
  await turns(5)
  assert.deepEqual([executor.running, executor.buffered, settled.length], [0, 0, 10])
})

test('nothing starts after a stop began; what is held can be taken out', async () => {
  const { executor, lanes, give, started } = setUp([1])
  executor.stopStarting()
  const attempts = give(lanes[0], 3)
  await turns(2)
  assert.deepEqual([started, executor.takeBuffered(), executor.buffered], [[], attempts, 0])
})

test('what stood still is confirmed before it starts, together with what waits behind it', async () => {
  const asked: Attempt[][] = []
  const { lanes, give, started } = setUp([1], { mustConfirm: () => true, confirm: (list) => asked.push(list) })
  const attempts = give(lanes[0], 3)
  await turns(1)
  assert.deepEqual([asked, started], [[attempts], []])
})

test('an attempt alone has the process for itself', async () => {
  const { promise, resolve } = Promise.withResolvers<void>()
  let runs = 0
  const { executor, lanes, make, give } = setUp([1], { run: () => (++runs === 1 ? promise : undefined) })
  executor.runAlone(make(lanes[0]))
  give(lanes[0], 3)
  await turns(3)
  assert.deepEqual([executor.isAlone, executor.running, runs], [true, 1, 1])
  resolve()
  await turns(3)
  assert.deepEqual([executor.isAlone, executor.running, runs], [false, 0, 4])
})

test('the first outcome of an attempt counts, whatever its handler does later', async () => {
  const { promise, reject } = Promise.withResolvers<void>()
  const { executor, lanes, give, settled } = setUp([1], { run: () => promise })
  give(lanes[0], 1)
  await turns(1)
  executor.abandonAll()
  reject(new Error('too late'))
  await turns(2)
  assert.deepEqual(
    settled.map(({ outcome }) => outcome),
    [{ r: 'released' }],
  )
  assert.equal(executor.running, 0)
})

test('a handler whose thenable calls back twice frees one place', async () => {
  // oxlint-disable-next-line unicorn/no-thenable -- that is what it is about
  const twice = Object.fromEntries([['then', (done: () => void) => [done(), done()]]])
  const { executor, lanes, give, settled } = setUp([1], { run: () => twice })
  give(lanes[0], 2)
  await turns(2)
  assert.deepEqual([executor.running, lanes[0].running, settled.length], [0, 0, 2])
})

test('the signal tells why: a stop, or a lease that was lost', async () => {
  const reasons: unknown[] = []
  const run: Run = ({ signal }) =>
    new Promise((resolve) => {
      signal.addEventListener('abort', () => {
        reasons.push(signal.reason)
        resolve(undefined)
      })
    })
  const { executor, lanes, give } = setUp([1], { run })
  const [first] = give(lanes[0], 2)
  await turns(1)
  assert.ok(first)
  executor.leaseLost([{ slot: first.slot, entry: 'of another attempt' }])
  assert.equal(reasons.length, 0)
  executor.leaseLost([first])
  executor.abortAll()
  await turns(2)
  const [lost, stopped] = reasons
  assert.ok(lost instanceof LeaseLostError && /q0\.0\.1732464000000-0/.test(lost.message))
  assert.match((stopped as Error).message, /shutting down/)
})

test('a job that expired does not run, unless it had started; a handler may cancel its own', async () => {
  const at = Date.now() - 1_000
  const { executor, lanes, make, settled, started } = setUp([1], {
    run: () => {
      throw cancel()
    },
  })
  executor.accept([make(lanes[0], { at, x: 10 }), make(lanes[0], { at, x: 10, a: 1 }), make(lanes[0])])
  await turns(2)
  assert.deepEqual(
    settled.map(({ outcome }) => outcome.r),
    ['expired', 'cancelled', 'cancelled'],
  )
  assert.equal(started.length, 2)
})

test('idle resolves when nothing runs', async () => {
  const { promise, resolve } = Promise.withResolvers<void>()
  const { executor, lanes, give } = setUp([1], { run: () => promise })
  await executor.idle()
  give(lanes[0], 2)
  await turns(1)
  let isIdle = false
  void executor.idle().then(() => {
    isIdle = true
  })
  await turns(2)
  assert.equal(isIdle, false)
  resolve()
  await turns(2)
  assert.equal(isIdle, true)
})

for (const { name, options, timeout, graceMs, heldForMs } of [
  { name: "its contract's timeout", options: {}, timeout: '1m', graceMs: 50, heldForMs: 60_000 + 30_000 },
  { name: 'its own timeout', options: { tm: 5_000 }, timeout: '1m', graceMs: 50, heldForMs: 5_000 + 30_000 },
  { name: 'a grace that is longer', options: {}, timeout: '1m', graceMs: 40_000, heldForMs: 60_000 + 80_000 },
  { name: 'no timeout', options: { tm: 0 }, timeout: '1m', graceMs: 50, heldForMs: Number.POSITIVE_INFINITY },
  { name: 'a timeout that is none', options: { tm: -1 }, timeout: '1m', graceMs: 50, heldForMs: 60_000 + 30_000 },
] as const) {
  test(`the lease of what runs is kept until well after its timeout, and no longer: ${name}`, async () => {
    const nowMs = 1_000
    const clock = { ...systemClock, monotonicMs: () => nowMs }
    const { promise, resolve } = Promise.withResolvers<void>()
    const { executor, lanes, table, make } = setUp([1], { run: () => promise, clock, timeout, graceMs })
    executor.accept([make(lanes[0], options)])
    await turns(1)
    const last = heldForMs === Number.POSITIVE_INFINITY ? Number.MAX_VALUE : nowMs + heldForMs - 1
    assert.deepEqual([executor.running, table.owned(last).length], [1, 1])
    assert.equal(table.owned(nowMs + heldForMs).length, 0)
    // An outcome that waits to be settled keeps it.
    resolve()
    await turns(2)
    assert.deepEqual([executor.running, table.owned(Number.MAX_VALUE).length], [0, 1])
  })
}

test('a timeout that is none is left to the contract: it decides when a job ran too long', async () => {
  let nowMs = 0
  const clock = { ...systemClock, monotonicMs: () => nowMs }
  const { executor, lanes, make, settled } = setUp([1], { run: () => new Promise(() => {}), clock, timeout: '1m' })
  executor.accept([make(lanes[0], { tm: -1 }), make(lanes[0], { tm: Number.MAX_VALUE })])
  await turns(1)
  nowMs = 59_999
  executor.checkDeadlines()
  assert.equal(settled.length, 0)
  nowMs = 60_050
  executor.checkDeadlines()
  const errors = settled.map(({ outcome }) => ('er' in outcome ? outcome.er?.m : outcome.r))
  assert.equal(errors.length, 2)
  for (const error of errors) assert.match(error ?? '', /its timeout of 60000 ms/)
})
