import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Logger } from '../logger.ts'
import { RepeatedWarning } from './repeated-warning.ts'

function scene() {
  const lines: string[] = []
  const level = (name: string) => (facts: { reason?: string }, message: string) => {
    if (name !== 'debug') lines.push([name, message, facts.reason].filter(Boolean).join(' '))
  }
  const log = { debug: level('debug'), info: level('info'), warn: level('warn') } as unknown as Logger
  const clock = { nowMs: 5, monotonicMs: () => clock.nowMs, wallMs: () => 0, wait: async () => {} }
  return { lines, clock, warning: new RepeatedWarning(log, clock) }
}

test('tells of a failure when it begins, when its reason changes, once a minute, and when it ends', () => {
  const { lines, clock, warning } = scene()
  warning.works('Fine')
  for (const reason of ['a', 'a', 'b', 'b', 'a']) warning.failed(reason, 'Failed')
  clock.nowMs += 59_999
  warning.failed('a', 'Failed')
  clock.nowMs += 1
  warning.failed('a', 'Failed')
  warning.works('Fine')
  warning.works('Fine')
  warning.failed('a', 'Failed')
  assert.deepEqual(lines, [
    'warn Failed a',
    'warn Failed b',
    'warn Failed a',
    'warn Failed a',
    'info Fine',
    'warn Failed a',
  ])
})
