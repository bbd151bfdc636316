import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { programEnvironment } from '../../src/config/environment.ts'
import type { PostgresBinaries } from '../../src/processes/dev/embedded-postgres.ts'
import { keepFolder } from '../../src/processes/dev/kept-folder.ts'

// The data directory of a PostgreSQL for tests.

// Roles that are members of the role `with_password` (which a test creates) need theirs; everybody else is let in.
const ACCESS = `
host all +with_password 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
host replication all 127.0.0.1/32 trust
`

/** Makes a data directory: a copy of a backup, or an empty one. */
export async function fillData(
  data: string,
  binaries: PostgresBinaries,
  { backup, isUnique = false }: { backup?: string; isUnique?: boolean },
): Promise<void> {
  if (backup !== undefined) await copyData(backup, data)
  else if (isUnique) await initialise(data, binaries)
  else await copyData(join(await keepTemplate(binaries), 'data'), data)
}

/** Keeps the owner: whoever may copy may be root, as whom no server runs. */
export async function copyData(from: string, to: string): Promise<void> {
  await promisify(execFile)('cp', ['-a', from, to])
}

/** Initialising takes half a second of processor time, copying what came of it a tenth. */
async function keepTemplate(binaries: PostgresBinaries): Promise<string> {
  const { bin, user } = binaries
  const { mtimeMs, size } = await stat(join(bin, 'postgres'))
  const version = createHash('sha256')
    .update(JSON.stringify([bin, mtimeMs, size, ACCESS]))
    .digest('hex')
    .slice(0, 12)
  return keepFolder({
    name: `moca-postgres-template-${user?.uid ?? process.getuid?.()}-${version}`,
    user,
    mode: 0o700,
    make: (folder) => initialise(join(folder, 'data'), binaries),
  })
}

async function initialise(data: string, { bin, user }: PostgresBinaries): Promise<void> {
  const how = ['--username=postgres', '--auth=trust', '--encoding=UTF8', '--locale=C', '--no-sync', '--no-instructions']
  await promisify(execFile)(join(bin, 'initdb'), ['-D', data, ...how], {
    cwd: dirname(data),
    env: programEnvironment(),
    ...user,
  })
  await writeFile(join(data, 'pg_hba.conf'), ACCESS)
}
