import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { mayLeaveOut } from './test-groups.ts'

/** Runs scripts/test.ts on one test file with this text; gives its exit code and its closing line. */
function runTests(text: string): { code: number | null; output: string; closing: string | undefined } {
  const folder = mkdtempSync(join(tmpdir(), 'moca-run-'))
  try {
    const file = join(folder, 'x.test.ts')
    writeFileSync(file, `import { test } from 'node:test'\n${text}`)
    // Without the variable by which Node knows a test file: it refuses to run tests within tests.
    const { NODE_TEST_CONTEXT: _, ...env } = process.env
    const { status, stdout } = spawnSync(process.execPath, ['scripts/test.ts', file], { env, encoding: 'utf8' })
    return { code: status, output: stdout, closing: stdout.trimEnd().split('\n').at(-1) }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const table: [name: string, text: string, code: number, closing: string][] = [
  ['passes when all tests pass', "test('a', () => {})", 0, '1 passed, 0 failed'],
  ['fails with a test', "test('a', () => {})\ntest('b', () => { throw new Error() })", 1, '1 passed, 1 failed'],
  ['fails for a skipped test', "test('a', () => {})\ntest.skip('b', () => {})", 1, '1 passed, 0 failed, 1 skipped'],
  ['fails for a file that does not load', 'throw new Error()', 1, '0 passed, 1 failed'],
]
for (const [name, text, code, closing] of table) {
  test(name, () => {
    const result = runTests(text)
    assert.deepEqual([result.code, result.closing], [code, closing])
  })
}

test('fails for a file without a test', () => {
  const { code, output } = runTests('')
  assert.equal(code, 1)
  assert.match(output, /x\.test\.ts holds no test/)
})

test('fails for a pattern that matches no file', () => {
  const { status, stdout } = spawnSync(process.execPath, ['scripts/test.ts', 'nothing/**/*.test.ts'], {
    encoding: 'utf8',
  })
  assert.equal(status, 1)
  assert.match(stdout, /matches no file\n\n0 passed, 0 failed\n$/)
})

test('a group that cannot run is left out, but not when it was asked for by name, and never where nothing may be', () => {
  assert.equal(mayLeaveOut('distribution', [], undefined), true)
  assert.equal(mayLeaveOut('distribution', ['unit'], ''), true)
  assert.equal(mayLeaveOut('distribution', ['distribution'], undefined), false)
  assert.equal(mayLeaveOut('distribution', [], '1'), false)
})
