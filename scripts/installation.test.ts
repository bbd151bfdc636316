import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isRecentEnough, planInstallation } from './installation.ts'
import { parsePostgresVersion, parseRedisVersion, POSTGRES, REDIS } from './recipes.ts'

const machine = (tools: string[], { isRoot = false, hasSudo = false } = {}) => ({
  hasTool: (name: string) => tools.includes(name),
  isRoot,
  hasSudo,
})

test('reads the version that a server prints', () => {
  const redis = 'Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=ae4d'
  assert.equal(parseRedisVersion(redis), '7.0.15')
  assert.equal(parseRedisVersion('command not found'), undefined)
  assert.equal(parsePostgresVersion('postgres (PostgreSQL) 15.19 (Debian 15.19-0+deb12u1)'), '15.19')
  assert.equal(parsePostgresVersion('postgres (PostgreSQL) 18beta1'), '18')
  assert.equal(parsePostgresVersion('command not found'), undefined)
})

test('accepts the minimum and newer', () => {
  const versions = ['6.2.7', '7.0.0', '7.2.4', '8.0.0', '10.1.0']
  assert.deepEqual(
    versions.map((version) => isRecentEnough(version, '7.0')),
    [false, true, true, true, true],
  )
  assert.deepEqual(
    ['13.22', '14', '15.19', '18'].map((version) => isRecentEnough(version, '14')),
    [false, true, true, true],
  )
})

test('installs by apt as root, and through sudo where it asks for no password', () => {
  const asRoot = planInstallation(REDIS, machine(['apt-get'], { isRoot: true }))
  const asUser = planInstallation(REDIS, machine(['apt-get'], { hasSudo: true }))
  assert.ok('command' in asRoot && 'command' in asUser)
  assert.match(asRoot.command.join(' '), /^sh -c .*apt-get .*update && .*apt-get .*install -y .*redis-server$/)
  assert.deepEqual(asUser.command, ['sudo', '-n', ...asRoot.command])
})

test('installs PostgreSQL without the cluster that Debian would start on port 5432', () => {
  const plan = planInstallation(POSTGRES, machine(['apt-get'], { isRoot: true }))
  assert.ok('command' in plan)
  assert.match(
    plan.command.join(' '),
    /install -y .*postgresql-common;.*create_main_cluster = false.*install -y .*postgresql$/,
  )
})

test('installs by brew', () => {
  assert.deepEqual(planInstallation(REDIS, machine(['brew'])), { tool: 'brew', command: ['brew', 'install', 'redis'] })
})

test('gives the one command where it may not install', () => {
  assert.deepEqual(planInstallation(REDIS, machine(['apt-get'])), {
    advice: "sudo sh -c 'apt-get update && apt-get install -y redis-server'",
  })
  assert.deepEqual(planInstallation(REDIS, machine(['apk'], { isRoot: true })), { advice: 'apk add redis' })
  assert.deepEqual(planInstallation(REDIS, machine([])), { advice: undefined })
})
