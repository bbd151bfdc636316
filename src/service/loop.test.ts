import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Logger } from '../logger.ts'
import { runLoop } from './loop.ts'

function scene() {
  const lines: string[] = []
  const say = (facts: { reason?: string }, message: string) =>
    lines.push(`${message}${facts.reason ? ` (${facts.reason})` : ''}`)
  const log = { debug: () => {}, info: say, warn: say, error: say, child: () => log } as unknown as Logger
  const stop = new AbortController()
  const waits: number[] = []
  const clock = {
    monotonicMs: () => 0,
    wallMs: () => 0,
    wait: async (ms: number) => {
      waits.push(ms)
    },
  }
  return { lines, stop, waits, options: { intervalMs: 1_000, name: 'retention', log, signal: stop.signal, clock } }
}

test('runs at once and again after about the interval, until it is told to end', async () => {
  const { stop, waits, options } = scene()
  let runs = 0
  await runLoop(async () => {
    if (++runs === 3) stop.abort()
  }, options)
  assert.equal(runs, 3)
  for (const ms of waits) assert.ok(ms >= 900 && ms <= 1_100, `${ms} ms`)
})

test('tells of runs that fail, once for a reason, and of the first that works', async () => {
  const { lines, stop, options } = scene()
  const outcomes = ['away', 'away', 'ok', 'ok']
  await runLoop(async () => {
    const outcome = outcomes.shift()
    if (outcomes.length === 0) stop.abort()
    if (outcome !== 'ok') throw new Error(outcome)
  }, options)
  assert.deepEqual(lines, ['It failed, and is tried again: retention (away)', 'It works again: retention'])
})

test('does not begin when it was told to end before', async () => {
  const { stop, options } = scene()
  stop.abort()
  await runLoop(() => assert.fail('it began'), options)
})
