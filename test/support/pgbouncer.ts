import { execFileSync } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { chown, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { unprivilegedUser } from '../../src/processes/dev/embedded-postgres.ts'
import { isAlive, startWatched } from '../../src/processes/dev/watched-server.ts'
import type { PostgresServer } from './postgres-server.ts'
import { waitFor } from './wait-for.ts'

// A real PgBouncer in front of a server, in transaction mode: after each transaction a client may get another session of the server.

// Below the ports that systems give to outgoing connections, as those of the servers.
const PORTS = { from: 20_000, to: 32_000 }

/** The version of the program, or undefined where there is none. */
export function findPgBouncer(): string | undefined {
  try {
    return /[\d.]+/.exec(execFileSync('pgbouncer', ['--version'], { encoding: 'utf8' }))?.[0]
  } catch {
    return undefined
  }
}

/** Handle of one PgBouncer. Made by `startPgBouncer`. */
export interface PgBouncer {
  /** Of a database of the server behind it. */
  urlOf(database: string): string
  /** Twice is harmless. */
  stop(): Promise<void>
}

/** Starts a pooler in front of a server and resolves when it takes connections. */
export async function startPgBouncer(server: PostgresServer): Promise<PgBouncer> {
  for (let attempt = 1; attempt <= 20; attempt++) {
    const started = await tryPort(server, randomInt(PORTS.from, PORTS.to))
    if (started) return started
  }
  throw new Error('PgBouncer found no free port')
}

async function tryPort(server: PostgresServer, port: number): Promise<PgBouncer | undefined> {
  const dir = await mkdtemp(join(tmpdir(), 'moca-pgbouncer-'))
  const user = await unprivilegedUser()
  if (user) await chown(dir, user.uid, user.gid)
  const config = join(dir, 'pgbouncer.ini')
  await writeFile(config, describe(server.port, port))
  if (user) await chown(config, user.uid, user.gid)
  const logFile = join(dir, 'log')
  const child = startWatched({ command: ['pgbouncer', config], ending: 'KILL', removes: dir, logFile, cwd: dir, user })
  const ended = once(child, 'exit')
  const stop = async () => {
    child.kill('SIGKILL')
    await ended
    await rm(dir, { recursive: true, force: true })
  }
  await waitFor(async () => !isAlive(child) || (await takesConnections(port)), { describe: 'PgBouncer to listen' })
  if (isAlive(child)) return { stop, urlOf: (database) => `postgres://postgres@127.0.0.1:${port}/${database}` }
  const log = await readFile(logFile, 'utf8')
  await stop()
  if (/address already in use/i.test(log)) return undefined
  throw new Error(`PgBouncer ended while starting:\n${log}`)
}

function describe(serverPort: number, port: number): string {
  return `[databases]
* = host=127.0.0.1 port=${serverPort} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
`
}

function takesConnections(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('error', () => resolve(false))
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
  })
}
