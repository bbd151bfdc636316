import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NOTES, type FoundNotes, type NoteName } from './notes.ts'

const BEFORE: FoundNotes = { unsettled: 0, live: 'a', rebuild: { generation: 'b', afterDocname: '500' } }

test('tells a note that is there from one that is not', () => {
  const cases: [NoteName, Partial<FoundNotes>, boolean][] = [
    ['intent', { unsettled: 1 }, true],
    ['intent', { unsettled: 0 }, false],
    ['settling', { unsettled: 0 }, true],
    ['settling', { unsettled: 1 }, false],
    ['page', { rebuild: { generation: 'b', afterDocname: '1000' } }, true],
    ['page', {}, false],
    // The one before had swapped: it was ended, and another one begun.
    ['page', { rebuild: { generation: 'c', afterDocname: '500' } }, true],
    ['page', { rebuild: { generation: 'c', afterDocname: null } }, false],
    ['swap', { live: 'b' }, true],
    ['swap', {}, false],
    ['end', { rebuild: undefined }, true],
    ['end', {}, false],
  ]
  for (const [name, change, expected] of cases) {
    assert.equal(NOTES[name].isThere?.({ ...BEFORE, ...change }, BEFORE), expected, `${name} ${JSON.stringify(change)}`)
  }
  const told = new Set(cases.map(([name]) => name))
  for (const [name, { isThere }] of Object.entries(NOTES))
    assert.equal(told.has(name as NoteName), isThere !== undefined, name)
})

test('no note is taken for another', () => {
  const texts = Object.values(NOTES).map(({ text }) => text)
  for (const text of texts)
    assert.deepEqual(
      texts.filter((other) => other.includes(text)),
      [text],
    )
})
