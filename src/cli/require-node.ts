import { EXIT } from './exit-codes.ts'

/** As `engines` of package.json has it. */
export const SUPPORTED_NODE = '^22.22 || >=24.6'

export function isSupportedNode(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (major === 22) return minor >= 22
  if (major === 24) return minor >= 6
  return major > 24
}

/** Ends the process where the Node is too old for what is loaded next, which would end with an error that says nothing of it. */
export function requireNode(version = process.versions.node): void {
  if (isSupportedNode(version)) return
  process.stderr.write(
    `Error:   moca needs Node ${SUPPORTED_NODE}; this is ${version}.\nFix:     Install a newer one: https://nodejs.org\n`,
  )
  process.exit(EXIT.wrongUse)
}
