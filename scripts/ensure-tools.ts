import { existsSync, readFileSync } from 'node:fs'
import { run } from './installation.ts'

// npm leaves out, without a word, the native parts of tools that are too new for the Node under which npm itself runs (Debian's, for one).
// The tools run under the Node of the dev dependencies all the same: what was left out is installed by name.

interface LockedPackage {
  readonly version: string
  readonly optional?: boolean
  readonly os?: readonly string[]
  readonly cpu?: readonly string[]
  readonly libc?: readonly string[]
}

const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
  packages: Record<string, LockedPackage>
}
const missing = Object.entries(packages)
  .filter(([folder, locked]) => isForThisMachine(locked) && !existsSync(folder))
  .map(([folder, { version }]) => `${folder.replace(/^.*node_modules\//, '')}@${version}`)

if (missing.length > 0) {
  console.log(`npm left out native parts of tools; installing ${missing.join(' ')}`)
  const { isOk, output } = run(['npm', 'install', '--no-save', '--no-package-lock', ...missing])
  if (!isOk) {
    console.error(`${output}\nThe native parts of tools are missing: run npm install under Node ^22.22 or >=24.6.`)
    process.exitCode = 1
  }
}

function isForThisMachine({ optional = false, os, cpu, libc }: LockedPackage): boolean {
  const isMusl =
    process.platform === 'linux' && existsSync(`/lib/ld-musl-${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}.so.1`)
  return (
    optional &&
    os?.includes(process.platform) === true &&
    cpu?.includes(process.arch) === true &&
    (libc === undefined || libc.includes(isMusl ? 'musl' : 'glibc'))
  )
}
