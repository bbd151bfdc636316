/** The oldest server that has what the scripts use: XAUTOCLAIM that forgets deleted entries, and functions. */
export const MINIMUM_VERSION = '7.0'

/** `redis-server --version` -> '7.0.15'. */
export function parseVersion(output: string): string | undefined {
  return /\bv=(\d+\.\d+\.\d+)/.exec(output)?.[1]
}

export function isRecentEnough(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const [wantedMajor = 0, wantedMinor = 0] = MINIMUM_VERSION.split('.').map(Number)
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor)
}

export type Machine = { hasTool: (name: string) => boolean; isRoot: boolean; hasSudo: boolean }

/** `command` can be run as it is; `advice` is the one command that a person has to run. */
export type Plan = { tool: string; command: string[] } | { advice: string | undefined }

// Debian's package `redis-server` and not `redis-tools`, which lacks the command, and with it the service that Debian
// starts on port 6379 of the loopback address where there is systemd. Keeping it from starting would take a policy for
// all packages (policy-rc.d) or a masked unit, and both would outlive us; the line that is printed tells how to end it.
const APT_GET = 'DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120'
const APT = ['sh', '-c', `${APT_GET} update && ${APT_GET} install -y --no-install-recommends redis-server`]

/** What a person would type, by the tool it needs. Only apt-get and brew are run for them: those we can try. */
const BY_HAND: [tool: string, command: string][] = [
  ['apt-get', 'apt-get update && apt-get install -y redis-server'],
  ['brew', 'brew install redis'],
  ['dnf', 'dnf install -y redis'],
  ['pacman', 'pacman -S --noconfirm redis'],
  ['apk', 'apk add redis'],
]

/** How to get redis-server onto this machine. */
export function planInstallation({ hasTool, isRoot, hasSudo }: Machine): Plan {
  if (hasTool('apt-get') && isRoot) return { tool: 'apt-get', command: APT }
  if (hasTool('apt-get') && hasSudo) return { tool: 'apt-get', command: ['sudo', '-n', ...APT] }
  // brew refuses to run as root.
  if (hasTool('brew') && !isRoot) return { tool: 'brew', command: ['brew', 'install', 'redis'] }
  const [tool, command] = BY_HAND.find(([name]) => hasTool(name)) ?? []
  if (!tool || !command) return { advice: undefined }
  return { advice: isRoot || tool === 'brew' ? command : `sudo sh -c '${command}'` }
}
