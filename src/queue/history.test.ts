import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { decodeHistory, historyLine, type OutcomeLetter } from './history.ts'

const OUTCOMES = { c: 'completed', x: 'cancelled', e: 'expired' } as const

const entry = fc.tuple(fc.constantFrom('m', 'f', 's', 'ta.b'), fc.nat(), fc.nat()).map(([letter, ms, seq]) => {
  return `${letter}:${ms}-${seq}`
})
const job = fc.record({
  place: fc.stringMatching(/^(g[\w-]{20}|[0-9]{13}-[0-9]{1,3})$/),
  entry,
  type: fc.stringMatching(/^[\w.:/-]{1,100}$/),
  letter: fc.constantFrom<OutcomeLetter>('c', 'x', 'e'),
  attempt: fc.integer({ min: 1, max: 1_000 }),
  startedAt: fc.integer({ min: 0, max: 2 ** 42 }),
  durationMs: fc.nat(),
  keepMs: fc.nat(),
})

test('reads what it wrote, without the lines of stale attempts', () => {
  const jobs = fc.uniqueArray(job, { minLength: 1, selector: (each) => each.entry })
  fc.assert(
    fc.property(jobs, fc.func(fc.boolean()), (all, isStale) => {
      const text = all
        .map((each) =>
          historyLine(
            each.place,
            each.entry,
            each.type,
            each.letter,
            each.attempt,
            each.startedAt,
            each.durationMs,
            each.keepMs,
          ),
        )
        .join('\n')
      const stale = all.filter((each) => isStale(each.entry)).map((each) => each.entry)
      const expected = all
        .filter((each) => !stale.includes(each.entry))
        .map(({ letter, ...rest }) => ({ ...rest, outcome: OUTCOMES[letter] }))
      assert.deepEqual(decodeHistory(text, stale.join(' ')), expected)
    }),
  )
})
