import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { isSupportedNode, SUPPORTED_NODE } from './require-node.ts'

for (const [version, isSupported] of [
  ['18.20.8', false],
  ['20.20.2', false],
  ['22.21.9', false],
  ['22.22.0', true],
  ['23.11.1', false],
  ['24.5.0', false],
  ['24.6.0', true],
  ['25.0.0', true],
] as const) {
  test(`Node ${version} is ${isSupported ? '' : 'not '}supported`, () => {
    assert.equal(isSupportedNode(version), isSupported)
  })
}

test('means what package.json says', async () => {
  const { engines } = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8')) as {
    engines: { node: string }
  }
  assert.equal(engines.node, SUPPORTED_NODE)
})

for (const program of ['main', 'moca-worker', 'moca-outbox', 'moca-scheduler']) {
  test(`${program} says which Node it needs before it loads anything that an older one has not`, () => {
    // Stands for an older Node: it says so of itself, and has lost what newer ones have.
    const older = `
      Object.defineProperty(process.versions, 'node', { value: '20.20.2' })
      await import(${JSON.stringify(new URL(`./${program}.ts`, import.meta.url).href)})`
    const { status, stderr, stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', older], {
      encoding: 'utf8',
    })
    assert.equal(
      stderr,
      `Error:   moca needs Node ${SUPPORTED_NODE}; this is 20.20.2.\nFix:     Install a newer one: https://nodejs.org\n`,
    )
    assert.deepEqual([status, stdout], [2, ''])
  })
}

test('the programs themselves load nothing else beforehand', async () => {
  for (const program of ['main', 'moca-worker', 'moca-outbox', 'moca-scheduler']) {
    const text = await readFile(new URL(`./${program}.ts`, import.meta.url), 'utf8')
    assert.deepEqual(text.match(/^import .*$/gm), ["import { requireNode } from './require-node.ts'"], program)
  }
})
