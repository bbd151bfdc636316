import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isRecentEnough, parseVersion, planInstallation } from './redis-installation.ts'

const machine = (tools: string[], { isRoot = false, hasSudo = false } = {}) => ({
  hasTool: (name: string) => tools.includes(name),
  isRoot,
  hasSudo,
})

test('reads the version that redis-server prints', () => {
  assert.equal(parseVersion('Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=ae4d'), '7.0.15')
  assert.equal(parseVersion('command not found'), undefined)
})

test('accepts 7.0 and newer', () => {
  assert.deepEqual(['6.2.7', '7.0.0', '7.2.4', '8.0.0', '10.1.0'].map(isRecentEnough), [false, true, true, true, true])
})

test('installs by apt as root, and through sudo where it asks for no password', () => {
  const asRoot = planInstallation(machine(['apt-get'], { isRoot: true }))
  const asUser = planInstallation(machine(['apt-get'], { hasSudo: true }))
  assert.ok('command' in asRoot && 'command' in asUser)
  assert.match(asRoot.command.join(' '), /^sh -c .*apt-get .*update && .*apt-get .*install -y .*redis-server$/)
  assert.deepEqual(asUser.command, ['sudo', '-n', ...asRoot.command])
})

test('installs by brew', () => {
  assert.deepEqual(planInstallation(machine(['brew'])), { tool: 'brew', command: ['brew', 'install', 'redis'] })
})

test('gives the one command where it may not install', () => {
  assert.deepEqual(planInstallation(machine(['apt-get'])), {
    advice: "sudo sh -c 'apt-get update && apt-get install -y redis-server'",
  })
  assert.deepEqual(planInstallation(machine(['apk'], { isRoot: true })), { advice: 'apk add redis' })
  assert.deepEqual(planInstallation(machine([])), { advice: undefined })
})
