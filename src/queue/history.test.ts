import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import type { Attempt } from './worker/attempt.ts'
import { decodeHistory, type OutcomeLetter } from './history.ts'
import { HistoryWriter, sectionText } from './worker/history-writer.ts'

const OUTCOMES = { c: 'completed', x: 'cancelled', e: 'expired' } as const
const OFFSET_MS = 1_700_000_000_000.25

const entry = fc.tuple(fc.integer({ min: 1, max: 9 }), fc.nat({ max: 99 })).map(([ms, seq]) => `${ms}-${seq}`)
const ended = fc.record({
  place: fc.option(fc.stringMatching(/^g[\w-]{20}$/), { nil: undefined }),
  letter: fc.constantFrom('m', 'f', 's', 'ta.b'),
  entry,
  type: fc.constantFrom('a', 'b.c', 'x:/-y'),
  outcome: fc.constantFrom<OutcomeLetter>('c', 'x', 'e'),
  charged: fc.constantFrom(undefined, 1, 999),
  startedAtMs: fc.double({ min: 0, max: 1e9, noNaN: true }),
  durationMs: fc.nat({ max: 1e6 }),
  keepMs: fc.constantFrom(0, 1, 3_600_000),
})

test('reads what it wrote, without the lines of stale attempts', () => {
  const jobs = fc.uniqueArray(ended, { minLength: 1, selector: (each) => `${each.letter}:${each.entry}` })
  fc.assert(
    fc.property(jobs, fc.func(fc.boolean()), (all, isStale) => {
      const writer = new HistoryWriter(OFFSET_MS)
      for (const { place, charged, durationMs, outcome, keepMs, ...rest } of all) {
        const endedAtMs = rest.startedAtMs + durationMs
        const attempt = { ...rest, place: place ?? rest.entry, options: { a: charged }, endedAtMs }
        writer.add(attempt as unknown as Attempt, outcome, keepMs)
      }
      const text = writer.sections.map(sectionText).join('\n')
      const stale = all.map((each) => `${each.letter}:${each.entry}`).filter((name) => isStale(name))
      const expected = all
        .filter((each) => !stale.includes(`${each.letter}:${each.entry}`))
        .map(({ letter, outcome, charged, startedAtMs, ...each }) => ({
          place: each.place ?? each.entry,
          entry: `${letter}:${each.entry}`,
          type: each.type,
          outcome: OUTCOMES[outcome],
          attempt: (charged ?? 0) + 1,
          startedAt: Math.round(startedAtMs + OFFSET_MS),
          durationMs: each.durationMs,
          keepMs: each.keepMs,
        }))
      const byName = (lines: readonly { entry: string }[]) =>
        Object.fromEntries(lines.map((line) => [line.entry, line]))
      assert.deepEqual(byName(decodeHistory(text, stale.join(' '))), byName(expected))
    }),
  )
})

test('attempts that have the same in common share a head', () => {
  const writer = new HistoryWriter(0)
  const attempt = { letter: 'm', type: 'a', options: {}, startedAtMs: 1_000, endedAtMs: 1_003 }
  for (const name of ['5-0', '5-1']) writer.add({ ...attempt, entry: name, place: name } as unknown as Attempt, 'c', 60)
  writer.add({ ...attempt, entry: '5-2', place: 'gx', startedAtMs: 1_001 } as unknown as Attempt, 'c', 60)
  assert.deepEqual(writer.sections.map(sectionText), [
    '#m a c 1 60 1000\n5-0 0 3\n5-1 0 3',
    '#m a c 1 60 1001\n5-2 0 2 gx',
  ])
})
