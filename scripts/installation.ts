import { spawnSync } from 'node:child_process'

// How a server that tests need comes onto this machine.

/** A server that the system's packages have. */
export type Recipe = {
  /** What is missing, in a message: `redis-server`. */
  name: string
  /** The oldest version that will do, e.g. `7.0`. */
  minimum: string
  /** What is installed; undefined: nothing. */
  findVersion: () => string | undefined
  /** A shell command, run as root. */
  apt: string
  /** Arguments of `brew install`. */
  brew: string
  /** What a person would type, by the tool it needs. Only apt-get and brew are run for them: those we can try. */
  byHand: [tool: string, command: string][]
  /** What there is to know once it is installed. */
  note?: () => string
}

export type Machine = { hasTool: (name: string) => boolean; isRoot: boolean; hasSudo: boolean }

/** `command` can be run as it is; `advice` is the one command that a person has to run. */
export type Plan = { tool: string; command: string[] } | { advice: string | undefined }

export const APT_GET = 'DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120'

/** Sees to it that the server can be started; undefined, or why it cannot. Nothing is started here. */
export function ensureInstalled(recipe: Recipe): string | undefined {
  const { name, minimum, findVersion, note } = recipe
  const found = findVersion()
  if (found !== undefined && isRecentEnough(found, minimum)) return undefined

  const lack = found === undefined ? `${name} is not installed` : `${name} ${found} is older than ${minimum}`
  const plan = planInstallation(recipe, lookAround())
  if ('advice' in plan) {
    const how = plan.advice ? `Install it with:\n\n  ${plan.advice}\n` : `Install ${name} ${minimum} or newer.`
    return `${lack}, and this user may not install it. ${how}`
  }

  console.log(`${lack}; installing it with ${plan.tool}`)
  const { isOk, output } = run(plan.command)
  if (!isOk) return `\`${plan.command.join(' ')}\` failed:\n${output}`
  const installed = findVersion()
  if (installed === undefined) return `${name} was installed, but it is not found.`
  if (!isRecentEnough(installed, minimum)) {
    return `The system's packages offer ${name} ${installed}; Moca needs ${minimum} or newer.`
  }
  console.log(`${name} ${installed} is there. ${note?.() ?? ''}`.trim())
  return undefined
}

export function isRecentEnough(version: string, minimum: string): boolean {
  const [found, wanted] = [version, minimum].map((text) => text.split('.').map(Number)) as [number[], number[]]
  for (const [index, part] of wanted.entries()) {
    const other = found[index] ?? 0
    if (other !== part) return other > part
  }
  return true
}

/** How to get the server onto this machine. */
export function planInstallation({ apt, brew, byHand }: Recipe, { hasTool, isRoot, hasSudo }: Machine): Plan {
  const command = ['sh', '-c', apt]
  if (hasTool('apt-get') && isRoot) return { tool: 'apt-get', command }
  if (hasTool('apt-get') && hasSudo) return { tool: 'apt-get', command: ['sudo', '-n', ...command] }
  // brew refuses to run as root.
  if (hasTool('brew') && !isRoot) return { tool: 'brew', command: ['brew', 'install', brew] }
  const [tool, typed] = byHand.find(([name]) => hasTool(name)) ?? []
  if (!tool || !typed) return { advice: undefined }
  return { advice: isRoot || tool === 'brew' ? typed : `sudo sh -c '${typed}'` }
}

function lookAround(): Machine {
  return {
    hasTool: (name) => run(['sh', '-c', `command -v ${name}`]).isOk,
    isRoot: process.getuid?.() === 0,
    hasSudo: run(['sudo', '-n', 'true']).isOk,
  }
}

export function run([program = '', ...args]: string[]): { isOk: boolean; output: string } {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  return { isOk: status === 0, output: `${stdout ?? ''}${stderr ?? ''}`.trim() }
}
