import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import * as fc from 'fast-check'
import { LeaseTable } from './lease-table.ts'

const NEVER = Number.NEGATIVE_INFINITY
const ALWAYS = Number.POSITIVE_INFINITY

test('an attempt is held, runs, and leaves', () => {
  const table = LeaseTable.create(2)
  const slot = table.hold(3, '1732464000000-5', 100)
  assert.deepEqual([table.freeSlots, table.isHeld(slot), [...table.names()]], [1, true, ['3:1732464000000-5']])
  assert.deepEqual(table.owned(0), [{ slot, ref: 3, entry: '1732464000000-5' }])
  assert.equal(table.start(slot, 500), true)
  assert.equal(table.start(slot, 500), false)
  assert.equal(table.isHeld(slot), false)
  assert.equal(table.names().size, 1)
  table.release(slot)
  assert.deepEqual([table.freeSlots, table.names().size, table.owned(0)], [2, 0, []])
})

test('a full table refuses', () => {
  const table = LeaseTable.create(1)
  table.hold(0, '1-0', 0)
  assert.throws(() => table.hold(0, '2-0', 0), /No free slot/)
})

test('what was not started in time is handed back and does not start any more', () => {
  const table = LeaseTable.create(4)
  const early = table.hold(0, '1-0', 100)
  const late = table.hold(0, '2-0', 200)
  const running = table.hold(0, '3-0', 100)
  table.start(running, ALWAYS)
  assert.deepEqual(table.takeUnstarted(150), [{ slot: early, ref: 0, entry: '1-0' }])
  assert.deepEqual(table.takeUnstarted(150), [])
  assert.deepEqual([table.start(early, ALWAYS), table.isHeld(early), table.start(late, ALWAYS)], [false, false, true])
  // Until the main thread has seen it, it still stands in the table; its lease is not renewed.
  assert.ok(table.names().has('0:1-0'))
  assert.deepEqual(
    table.owned(0).map(({ entry }) => entry),
    ['2-0', '3-0'],
  )
})

test('a running attempt is renewed until its time is over, a held one as long as it is held', () => {
  const table = LeaseTable.create(2)
  const slot = table.hold(0, '1-0', 0)
  table.hold(0, '2-0', 0)
  table.start(slot, 500)
  const owned = (at: number) => table.owned(at).map(({ entry }) => entry)
  assert.deepEqual([owned(499), owned(500), owned(NEVER)], [['1-0', '2-0'], ['2-0'], ['1-0', '2-0']])
})

test('a slot that is used again is another attempt', () => {
  const table = LeaseTable.create(1)
  const slot = table.hold(0, '1-0', 0)
  table.start(slot, ALWAYS)
  const [first] = table.owned(0)
  assert.ok(first && table.isRunning(first))
  table.release(slot)
  assert.equal(table.isRunning(first), false)
  assert.equal(table.hold(0, '2-0', 0), slot)
  table.start(slot, ALWAYS)
  assert.equal(table.isRunning(first), false)
})

test('both threads see one memory', () => {
  const main = LeaseTable.create(2)
  const keeper = new LeaseTable(main.memory)
  const epoch = main.epoch
  keeper.nextEpoch()
  assert.notEqual(main.epoch, epoch)
  const beats = keeper.beats
  main.beat()
  assert.notEqual(keeper.beats, beats)
  const slot = main.hold(1, '1-0', 0)
  assert.equal(keeper.takeUnstarted(0).length, 1)
  assert.equal(main.start(slot, ALWAYS), false)
})

test('agrees with a simple model, whatever happens in whatever order', () => {
  const action = fc.tuple(fc.constantFrom('hold', 'start', 'release', 'take'), fc.nat(5), fc.nat(100))
  fc.assert(
    fc.property(fc.array(action, { maxLength: 100 }), (actions) => {
      const table = LeaseTable.create(6)
      const model = new Map<number, { entry: string; state: 'held' | 'running' | 'returned'; sinceMs: number }>()
      for (const [index, [what, slot, at]] of actions.entries()) {
        const known = model.get(slot)
        if (what === 'hold' && table.freeSlots > 0) {
          model.set(table.hold(0, `${index}-0`, at), { entry: `${index}-0`, state: 'held', sinceMs: at })
        } else if (what === 'start' && known) {
          assert.equal(table.start(slot, ALWAYS), known.state === 'held')
          if (known.state === 'held') known.state = 'running'
        } else if (what === 'release' && known) {
          table.release(slot)
          model.delete(slot)
        } else if (what === 'take') {
          const due = [...model.values()].filter(({ state, sinceMs }) => state === 'held' && sinceMs <= at)
          assert.deepEqual(
            new Set(table.takeUnstarted(at).map(({ entry }) => entry)),
            new Set(due.map(({ entry }) => entry)),
          )
          for (const each of due) each.state = 'returned'
        }
        assert.equal(table.freeSlots, 6 - model.size)
        assert.deepEqual(table.names(), new Set([...model.values()].map(({ entry }) => `0:${entry}`)))
      }
    }),
  )
})

// A thread that hands back whatever it finds, without a pause, until it is told to end; then it says what it took.
const KEEPER = `
  const { parentPort, workerData } = require('node:worker_threads')
  import(workerData.module).then(({ LeaseTable }) => {
    const table = new LeaseTable(workerData.memory)
    const end = new Int32Array(workerData.end)
    const taken = []
    parentPort.postMessage('ready')
    while (Atomics.load(end, 0) === 0) {
      for (const { entry } of table.takeUnstarted(Infinity)) taken.push(entry)
      Atomics.add(end, 1, 1)
    }
    parentPort.postMessage(taken)
  })`

test('no attempt is both started and handed back while two threads compete for it, and none is lost', async () => {
  const table = LeaseTable.create(4)
  const end = new SharedArrayBuffer(8)
  const flags = new Int32Array(end)
  const module = new URL('./lease-table.ts', import.meta.url).href
  const thread = new Worker(KEEPER, { eval: true, workerData: { module, memory: table.memory, end } })
  await once(thread, 'message')
  const told = once(thread, 'message') as Promise<[string[]]>

  const started: string[] = []
  const refused: string[] = []
  const deadline = performance.now() + 10_000
  for (let number = 1; performance.now() < deadline; number++) {
    const slots = Array.from({ length: 4 }, (_, index) => table.hold(0, `${number}-${index}`, 0))
    // Now and then long enough for the other thread to come round; it may wait for a core itself.
    const round = Atomics.load(flags, 1)
    const mostSpins = number % 8 === 0 ? 1e6 : 0
    for (let spins = 0; spins < mostSpins && Atomics.load(flags, 1) === round; spins++);
    for (const [index, slot] of slots.entries()) {
      const list = table.start(slot, ALWAYS) ? started : refused
      list.push(`${number}-${index}`)
      table.release(slot)
    }
    if (started.length >= 20_000 && refused.length >= 5_000) break
  }
  Atomics.store(flags, 0, 1)
  const [taken] = await told

  assert.ok(started.length > 0 && refused.length > 0, `${started.length} started, ${refused.length} refused`)
  assert.equal(new Set(taken).size, taken.length)
  assert.deepEqual(taken.toSorted(), refused.toSorted())
})
