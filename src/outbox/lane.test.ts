import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CatchUp, Lane } from './lane.ts'
import type { Standing } from './relay-store.ts'
import { BEFORE_EVERYTHING, parseSnapshot, type Tick } from './snapshot.ts'

function tick(id: number | undefined, snapshot: string, low: number, high = low): Tick {
  return { id, snapshot: parseSnapshot(snapshot), low, high, floor: 0 }
}

const FIRST = tick(1, '10:10:', 5)
const SECOND = tick(2, '20:20:', 9)

function standing(options: Partial<Standing> = {}): Standing {
  return { from: FIRST, to: SECOND, uptoSeq: 7, endsWindow: false, ...options }
}

function laneAt(at: Standing | undefined, isAcked = true): Lane {
  return Lane.restore({ lane: 3, epoch: 1, last: at && { n: 4, digest: 'd', isAcked }, standing: at })
}

test('a lane without a batch begins before everything', () => {
  const lane = laneAt(undefined)
  assert.equal(lane.n, 0)
  assert.deepEqual(lane.nextWindow({ ...FIRST, drawn: 5 }), {
    lane: 3,
    from: BEFORE_EVERYTHING,
    to: { ...FIRST, drawn: 5 },
    afterSeq: 0,
  })
})

test('goes on within a window that is not used up, and after it when it is', () => {
  assert.deepEqual(laneAt(standing()).nextWindow({ ...SECOND, drawn: 9 }), {
    lane: 3,
    from: FIRST,
    to: SECOND,
    afterSeq: 7,
  })
  const now = { ...tick(undefined, '30:30:', 12), drawn: 12 }
  assert.deepEqual(laneAt(standing({ endsWindow: true })).nextWindow(now), {
    lane: 3,
    from: SECOND,
    to: now,
    afterSeq: 0,
  })
})

test('reads nothing while nothing can have become visible', () => {
  const lane = laneAt(standing({ endsWindow: true }))
  assert.equal(lane.nextWindow({ ...SECOND, drawn: 9 }), undefined)
  assert.ok(lane.nextWindow({ ...SECOND, drawn: 10 }), 'something was drawn')
})

test('what was looked at in vain is not looked at again, and is no place to begin with after a restart', () => {
  const lane = laneAt(standing({ endsWindow: true }))
  const now = { ...tick(undefined, '30:30:', 12), drawn: 12 }
  const window = lane.nextWindow(now)
  assert.ok(window)
  lane.skip(window)
  assert.equal(lane.nextWindow(now), undefined)
  assert.equal(lane.place.from, SECOND)
})

test('a batch whose taking is not known is sent first', () => {
  assert.equal(laneAt(standing(), false).pending, 'unread')
  assert.equal(laneAt(standing(), false).isFree, false)
  assert.equal(laneAt(standing(), true).isFree, true)
})

test('a subscription catches up to where its lane stands, and no further', () => {
  const catchUp = new CatchUp({ lane: 3, name: 'a', since: 7, past: FIRST, standing: undefined })
  assert.equal(catchUp.id, 'a@7')
  assert.deepEqual(catchUp.nextWindow(3, SECOND), { lane: 3, from: FIRST, to: SECOND, afterSeq: 0 })
  const window = catchUp.nextWindow(3, SECOND)
  assert.ok(window)
  catchUp.skip(window)
  assert.equal(catchUp.nextWindow(3, SECOND), undefined)
})

test('a subscription that begins after where an idle lane stands has caught up', () => {
  const catchUp = new CatchUp({ lane: 3, name: 'a', since: 7, past: SECOND, standing: undefined })
  assert.equal(catchUp.nextWindow(3, FIRST), undefined)
  assert.equal(catchUp.nextWindow(3, BEFORE_EVERYTHING), undefined)
  // The same transactions had begun, and fewer of them had ended.
  const earlier = tick(3, '15:20:15', 9)
  assert.equal(catchUp.nextWindow(3, earlier), undefined)
})

test('a subscription that catches up is not there yet when the log goes on in another database, which counts its transactions anew', () => {
  const past = tick(7, '900:900:', 40)
  const catchUp = new CatchUp({ lane: 3, name: 'audit', since: 1, past, standing: undefined })
  const target = { ...tick(8, '12:12:', 60), floor: 50 }
  assert.deepEqual(catchUp.nextWindow(3, target), { lane: 3, from: past, to: target, afterSeq: 0 })
  assert.equal(catchUp.nextWindow(3, tick(6, '800:800:', 30)), undefined)
})
