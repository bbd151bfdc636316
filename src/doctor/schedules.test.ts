import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { StoredSchedule } from '../scheduler/schedule-store.ts'
import { checkSchedules } from './schedules.ts'

function stored(name: string, source: 'config' | 'runtime' = 'config', isEnabled = true): StoredSchedule {
  const rules = { jitterMs: 0, missed: 'once', maxLateMs: 1, overlap: 'allow' } as const
  return {
    name,
    version: 1,
    isEnabled,
    lastMs: 0,
    definition: { source, times: '{}', rules, type: 't', queue: 'default', payload: '1' },
  }
}

const leader = { owner: 'a' }
const found = (...args: Parameters<typeof checkSchedules>) =>
  checkSchedules(...args).map(({ severity, found: text }) => `${severity}: ${text}`)

test('schedules that a scheduler fires are fine, and so is none', () => {
  const configured = [{ name: 'a' }]
  assert.deepEqual(found({ configured, stored: [stored('a'), stored('b', 'runtime')], leader }), [])
  assert.deepEqual(found({ configured: [], stored: [], leader: undefined }), [])
  assert.deepEqual(found({ configured: [], stored: [stored('a', 'runtime', false)], leader: undefined }), [])
})

test('names what nobody fires, what is not known to Redis, and what another configuration left', () => {
  const nobody = 'problem: No scheduler leads: nothing fires.'
  assert.deepEqual(found({ configured: [], stored: [stored('a', 'runtime')], leader: undefined }), [nobody])
  assert.deepEqual(found({ configured: [{ name: 'a' }], stored: [], leader: undefined }), [
    nobody,
    'note: Of the configuration, and not known to Redis: a.',
  ])
  assert.deepEqual(found({ configured: [{ name: 'a' }], stored: [stored('a', 'runtime')], leader }), [
    'note: Of the configuration, and not known to Redis: a.',
  ])
  const many = ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((name) => stored(name))
  assert.deepEqual(found({ configured: [], stored: many, leader }), [
    'note: Defined by another configuration, and not in this one: a, b, c, d, e and 2 more.',
  ])
})
