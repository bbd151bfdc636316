import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { IndexStatus, LiveStatus } from '../search/index-status.ts'
import { checkSearch } from './search.ts'

const LIVE: LiveStatus = {
  generation: 'one',
  documents: 3,
  waiting: 0,
  oldestWaitingMs: undefined,
  owner: 'a:1',
  indexedLastMinute: 0,
  parkedCount: 0,
  parked: [],
  isOutdated: false,
}

function found(live: Partial<LiveStatus> | undefined, rest: Partial<IndexStatus> = {}): string[] {
  const status: IndexStatus = {
    index: 'City',
    rebuild: undefined,
    isRebuilding: false,
    lastRebuild: undefined,
    uncaptured: [],
    standstill: undefined,
    live: live && { ...LIVE, ...live },
    ...rest,
  }
  return checkSearch([status], [], 1_000_000).map(({ severity, found: text }) => `${severity}: ${text}`)
}

test('an index that somebody keeps and that is nearly level is fine', () => {
  assert.deepEqual(found({}), [])
  assert.deepEqual(found({ waiting: 500, oldestWaitingMs: 59_000 }), [])
})

test('names what is not built, not kept, late, outdated, parked, and not captured', () => {
  assert.deepEqual(found(undefined), ['problem: Search index City is not built'])
  assert.deepEqual(found({ owner: undefined }), ['problem: Nobody keeps search index City: changes do not reach it'])
  assert.deepEqual(found({ waiting: 7, oldestWaitingMs: 61_000 }), [
    'problem: Search index City is 61 s behind: 7 documents wait',
  ])
  assert.deepEqual(found({ isOutdated: true }), [
    'problem: The definition of City changed since its search index was built',
  ])
  const parked = [{ docname: '17', error: 'no name', parkedAt: new Date(0) }]
  assert.deepEqual(found({ parkedCount: 2, parked }), [
    'problem: 2 documents of search index City cannot be indexed; 17: no name',
  ])
  assert.deepEqual(found({}, { uncaptured: ['Country'] }), [
    'problem: Changes of Country do not reach search index City: nothing records them',
  ])
})

test('an index that stands still is told with its reason, and not as one that nobody keeps or that is late', () => {
  const standstill = { reason: 'there is no table helper', since: new Date(0), triedAt: new Date(5_000) }
  const expected = ['problem: Search index City stands still since 1970-01-01T00:00:00.000Z: there is no table helper']
  assert.deepEqual(found({ owner: undefined }, { standstill }), expected)
  assert.deepEqual(found({ waiting: 7, oldestWaitingMs: 61_000 }, { standstill }), expected)
  assert.deepEqual(found(undefined, { standstill }), expected)
})

test('a rebuild is told when nobody has gone on with it for long', () => {
  const rebuild = {
    index: 'City',
    generation: 'two',
    definition: 'x',
    owner: 'b:2',
    afterDocname: '5',
    documents: 5,
    expected: undefined,
    isCopied: false,
    wantsLive: false,
    beganAt: new Date(0),
    updatedAt: new Date(1_000_000 - 599_000),
  }
  assert.deepEqual(found({}, { rebuild }), [])
  assert.deepEqual(found(undefined, { rebuild }), [])
  assert.deepEqual(found({}, { rebuild: { ...rebuild, updatedAt: new Date(0) }, isRebuilding: true }), [])
  assert.deepEqual(found({}, { rebuild: { ...rebuild, updatedAt: new Date(1_000_000 - 600_000) } }), [
    'note: A rebuild of search index City was left lying after 5 rows; the log is kept for it',
  ])
})

test('an index that nothing has any more is told, because the log is kept for it', () => {
  assert.deepEqual(
    checkSearch([], ['Thing'], 0).map(({ severity, found: text }) => `${severity}: ${text}`),
    ['problem: No doctype of the apps has search index Thing, and nobody keeps it: the log is kept for it'],
  )
})
