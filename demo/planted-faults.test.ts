import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Fault } from './options.ts'
import { runWithFault } from './planted-run.ts'

// Two of them, which look at what is youngest; `npm run demo:faults` plants them all.

describe('the demo names what was planted, and ends with exit code 1', { concurrency: 2 }, () => {
  for (const fault of ['index-document-dropped', 'fire-doubled'] satisfies Fault[]) {
    test(fault, async (t) => {
      const { problem, kinds, seconds } = await runWithFault(fault)
      t.diagnostic(`${kinds.join(', ')}, ${seconds} s`)
      assert.equal(problem, undefined)
    })
  }
})
