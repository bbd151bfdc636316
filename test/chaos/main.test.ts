import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url))

function call(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8' })
}

test('--help prints the usage and ends with 0', () => {
  for (const args of [['--help'], ['queue', '-h']]) {
    const { status, stdout, stderr } = call(...args)
    assert.deepEqual({ status, stderr }, { status: 0, stderr: '' })
    assert.match(stdout, /^usage: .*\n[^]*kill-workers/)
  }
})

test('wrong use says what is wrong, prints the usage, and ends with 2', () => {
  const cases: [args: string[], said: RegExp][] = [
    [[], /^The suites are queue, outbox, scheduler and search; found none\.\nusage: /],
    [['outbocks'], /^The suites are queue, outbox, scheduler and search; found outbocks\.\nusage: /],
    [['outbox', 'kill-workers'], /^There is no scenario kill-workers\.\nusage: /],
    [['queue', 'kill-worker'], /^There is no scenario kill-worker\.\nusage: /],
    [['queue', '--fast'], /^Unknown option '--fast'.*\nusage: /],
    [['queue', '--count'], /^Option '--count <value>' argument missing\nusage: /],
    [['queue', '--count', 'many'], /^--count must be a whole number from 1; found "many"\.\nusage: /],
    [['queue', '--seed', '-1'], /--seed.*\n[^]*usage: /],
  ]
  for (const [args, said] of cases) {
    const { status, stdout, stderr } = call(...args)
    assert.deepEqual({ status, stdout }, { status: 2, stdout: '' }, args.join(' '))
    assert.match(stderr, said)
    assert.doesNotMatch(stderr, /\n\s+at /)
  }
})
