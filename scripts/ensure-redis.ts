import { spawnSync } from 'node:child_process'
import { isRecentEnough, MINIMUM_VERSION, parseVersion, planInstallation } from './redis-installation.ts'

// Sees to it that redis-server can be started. Nothing is started here, and a server that already runs is left alone.

type Outcome = { isOk: boolean; output: string }

process.exitCode = ensureRedis() ? 0 : 1

function ensureRedis(): boolean {
  const found = installedVersion()
  if (found && isRecentEnough(found)) return true

  const lack = found ? `redis-server ${found} is older than ${MINIMUM_VERSION}` : 'redis-server is not installed'
  const plan = planInstallation({
    hasTool: (name) => run(['sh', '-c', `command -v ${name}`]).isOk,
    isRoot: process.getuid?.() === 0,
    hasSudo: run(['sudo', '-n', 'true']).isOk,
  })
  if ('advice' in plan) {
    const how = plan.advice
      ? `Install it with:\n\n  ${plan.advice}\n`
      : `Install Redis ${MINIMUM_VERSION} or newer and put redis-server on the PATH.`
    return complain(`${lack}, and this user may not install it. ${how}`)
  }

  console.log(`${lack}; installing it with ${plan.tool}`)
  const { isOk, output } = run(plan.command)
  if (!isOk) return complain(`\`${plan.command.join(' ')}\` failed:\n${output}`)
  const installed = installedVersion()
  if (!installed) return complain('redis-server was installed, but it is not on the PATH.')
  if (!isRecentEnough(installed)) {
    return complain(`The system's packages offer redis-server ${installed}; Moca needs ${MINIMUM_VERSION} or newer.`)
  }
  console.log(`redis-server ${installed} is there. ${serviceNote()}`)
  return true
}

function installedVersion(): string | undefined {
  return parseVersion(run(['redis-server', '--version']).output)
}

function serviceNote(): string {
  if (!run(['systemctl', 'is-active', 'redis-server']).isOk) return ''
  return 'The package also started a service on port 6379, which Moca does not use: `systemctl disable --now redis-server` ends it.'
}

function run([program = '', ...args]: string[]): Outcome {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  return { isOk: status === 0, output: `${stdout ?? ''}${stderr ?? ''}`.trim() }
}

function complain(message: string): false {
  console.error(message)
  return false
}
