import { type ChildProcess, execFile, spawnSync } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { chown, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Client } from 'pg'
import { programEnvironment } from '../../src/config/environment.ts'
import type { PostgresBinaries } from '../../src/processes/dev/embedded-postgres.ts'
import { isAlive, release, startWatched } from '../../src/processes/dev/watched-server.ts'
import { copyData, fillData } from './postgres-data.ts'
import { findPostgres, type PostgresKind } from './postgres-binaries.ts'
import { waitFor } from './wait-for.ts'

// A real PostgreSQL for tests: a child process of its own, in a directory of its own, which does not outlive the process that started it.
// Asked for an immediate shutdown it gives back its shared memory.

// Below the ports that systems give to outgoing connections, so that none of them takes a port while its server restarts.
const PORTS = { from: 20_000, to: 32_000 }

export type PostgresServerOptions = {
  /** `embedded`: PostgreSQL 18 from npm; `distribution`: that of the system's packages. Default: MOCA_TEST_POSTGRES, or embedded. */
  kind?: PostgresKind
  /** Whether a commit waits for the disk. Without, it survives the death of the server, not of the machine. Default false. */
  fsync?: boolean
  /** Default: a free one. */
  port?: number
  /** Settings of the server, such as `{ max_connections: '20' }`. */
  settings?: Record<string, string>
  /** Begins with the data of a server's `backup()`, and so with its system identifier. Default: an empty one. */
  backup?: string
  /** Servers begin as copies of one, system identifier included. True: one of its own, which takes a second longer. Default false. */
  isUnique?: boolean
  /** Stays in recovery, as a standby whose primary is gone: it can be read. Default false. */
  isStandby?: boolean
  /** How long it may take to be ready, which includes recovery after a crash. Default 20,000. */
  startTimeoutMs?: number
}

/** Starts a PostgreSQL on the loopback address and resolves when it takes connections. The superuser is `postgres`. */
export async function startPostgres(options: PostgresServerOptions = {}): Promise<PostgresServer> {
  const kind = options.kind ?? chosenKind()
  const binaries = await findPostgres(kind)
  const dir = await mkdtemp(join(tmpdir(), 'moca-postgres-data-'))
  try {
    if (binaries.user) await chown(dir, binaries.user.uid, binaries.user.gid)
    await fillData(join(dir, 'data'), binaries, options)
    if (options.isStandby) await writeFile(join(dir, 'data', 'standby.signal'), '')
    return await startOnFreePort({ ...options, kind, binaries, dir })
  } catch (error) {
    await rm(dir, { recursive: true, force: true })
    throw error
  }
}

function chosenKind(): PostgresKind {
  const kind = process.env.MOCA_TEST_POSTGRES || 'embedded'
  if (kind === 'embedded' || kind === 'distribution') return kind
  throw new Error(`MOCA_TEST_POSTGRES must be embedded or distribution; found ${JSON.stringify(kind)}`)
}

// The server itself tries the port: looking for a free one first would leave a gap in which another could take it.
async function startOnFreePort(settings: Omit<Settings, 'port'> & { port?: number }): Promise<PostgresServer> {
  for (let attempt = 1; ; attempt++) {
    const server = new PostgresServer({ ...settings, port: settings.port ?? randomInt(PORTS.from, PORTS.to) })
    try {
      await server.start()
      return server
    } catch (error) {
      if (error instanceof PortInUseError && settings.port === undefined && attempt < 20) continue
      await server.stop()
      throw error
    }
  }
}

class PortInUseError extends Error {}

type Settings = Omit<PostgresServerOptions, 'kind' | 'port' | 'backup' | 'isUnique' | 'isStandby'> & {
  kind: PostgresKind
  binaries: PostgresBinaries
  dir: string
  port: number
}

/** What a test hands over so that something is undone at its end. */
type Scope = { after: (undo: () => Promise<void>) => void }

/** Handle of one PostgreSQL. Made by `startPostgres`. */
export class PostgresServer {
  readonly #settings: Settings
  #child: ChildProcess | undefined
  #databases = 0
  #backups = 0

  constructor(settings: Settings) {
    this.#settings = settings
  }

  get kind(): PostgresKind {
    return this.#settings.kind
  }

  get port(): number {
    return this.#settings.port
  }

  get dir(): string {
    return this.#settings.dir
  }

  /** Of the database `postgres`. */
  get url(): string {
    return this.urlOf('postgres')
  }

  /** Process id of the running server, `undefined` while there is none. */
  get pid(): number | undefined {
    return this.isRunning ? this.#child?.pid : undefined
  }

  get isRunning(): boolean {
    return this.#child !== undefined && isAlive(this.#child)
  }

  /** `user`: a role, or `role:password`. */
  urlOf(database: string, user = 'postgres'): string {
    return `postgres://${user}@127.0.0.1:${this.port}/${database}`
  }

  /** A fresh database, dropped when the test ends, where one is given, or by its `drop()`. */
  async createDatabase(test?: Scope): Promise<TestDatabase> {
    const name = `test_${++this.#databases}`
    await this.query(`create database ${name}`)
    const database = new TestDatabase(this, name)
    test?.after(() => database.drop())
    return database
  }

  /** Runs one statement, or several without values, on a connection of its own, and returns the rows. */
  async query<Row extends object>(text: string, values: unknown[] = [], database = 'postgres'): Promise<Row[]> {
    const client = new Client({ connectionString: this.urlOf(database) })
    client.on('error', () => {}) // told by the query, too
    await client.connect()
    try {
      return (await client.query<Row>(text, values)).rows
    } finally {
      await client.end().catch(() => {})
    }
  }

  /** Starts the server on its port and directory. For use after `kill`; `startPostgres` has called it once already. */
  async start(): Promise<void> {
    if (this.isRunning) return
    const child = this.#spawn()
    this.#child = child
    try {
      await waitFor(() => !isAlive(child) || this.#isReady(child.pid), {
        timeoutMs: this.#settings.startTimeoutMs ?? 20_000,
        intervalMs: 3,
        describe: `PostgreSQL on port ${this.port} to take connections`,
      })
    } catch (error) {
      await this.kill('SIGKILL')
      throw error
    }
    if (!isAlive(child)) throw await this.#startError(child)
  }

  /** Ends the server for good and removes its directory. Twice is harmless. */
  async stop(): Promise<void> {
    await this.kill('SIGQUIT')
    await this.#freeSharedMemory()
    await rm(this.dir, { recursive: true, force: true })
  }

  /**
   * Sends a signal. SIGKILL: all its processes die at once, as in a crash. SIGINT: a clean shutdown, open transactions are rolled back.
   * SIGQUIT: at once, as SIGKILL, but it tidies up. Resolves once the server is gone. SIGSTOP and SIGCONT: all its processes, at once.
   */
  async kill(signal: 'SIGKILL' | 'SIGINT' | 'SIGQUIT' | 'SIGSTOP' | 'SIGCONT'): Promise<void> {
    const child = this.#child
    if (!child?.pid || !isAlive(child)) return
    if (signal === 'SIGKILL' || signal === 'SIGSTOP') {
      child.kill('SIGSTOP') // so that it makes no new ones meanwhile
      signalAll(childrenOf(child.pid), signal)
    } else {
      signalAll(childrenOf(child.pid), 'SIGCONT') // a stopped one would never see that it is to end
      child.kill('SIGCONT')
    }
    if (signal === 'SIGSTOP' || signal === 'SIGCONT') return
    child.kill(signal)
    child.ref()
    await waitFor(() => !isAlive(child), {
      timeoutMs: 15_000,
      intervalMs: 2,
      describe: `PostgreSQL ${child.pid} to end on ${signal}`,
    })
  }

  /** Lets the server live on after this process, which must not stop it then. */
  release(): void {
    if (this.#child) release(this.#child)
  }

  /** Ends the server cleanly, if it still runs, and starts it again with the same port, directory and settings. */
  async restart(): Promise<void> {
    await this.kill('SIGINT')
    await this.start()
  }

  /** Copies the data, for which a running server is ended cleanly and started again. The copy goes with the server's directory. */
  async backup(): Promise<string> {
    const copy = join(this.dir, `backup-${++this.#backups}`)
    await this.#whileStopped(() => copyData(this.#data, copy))
    return copy
  }

  /** Puts the data back to what they were at a backup: whatever was committed since is gone. */
  async restore(backup: string): Promise<void> {
    await this.#whileStopped(async () => {
      await rm(this.#data, { recursive: true })
      await copyData(backup, this.#data)
    })
  }

  async #whileStopped(action: () => Promise<void>): Promise<void> {
    const wasRunning = this.isRunning
    await this.kill('SIGINT')
    await action()
    if (wasRunning) await this.start()
  }

  get #data(): string {
    return join(this.dir, 'data')
  }

  get #logFile(): string {
    return join(this.dir, 'postgres.log')
  }

  #spawn(): ChildProcess {
    const { dir, port, binaries, fsync = false, settings = {} } = this.#settings
    const all = {
      listen_addresses: '127.0.0.1',
      unix_socket_directories: '',
      fsync: fsync ? 'on' : 'off',
      // Files of the directory, which go with it; POSIX shared memory would stay behind after SIGKILL.
      dynamic_shared_memory_type: 'mmap',
      shared_buffers: '32MB',
      ...settings,
    }
    const args = Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])
    return startWatched({
      command: [join(binaries.bin, 'postgres'), '-D', this.#data, '-p', String(port), ...args],
      ending: 'QUIT',
      removes: dir,
      logFile: this.#logFile,
      cwd: dir,
      env: programEnvironment(),
      user: binaries.user,
    })
  }

  /** What the server says of itself: process id in the first line, state in the eighth. */
  async #isReady(pid: number | undefined): Promise<boolean> {
    const lines = (await readFile(join(this.#data, 'postmaster.pid'), 'utf8').catch(() => '')).split('\n')
    return Number(lines[0]) === pid && lines[7]?.trim() === 'ready'
  }

  /** After SIGKILL a small segment of shared memory stays until the next start, or for ever. */
  async #freeSharedMemory(): Promise<void> {
    const lines = (await readFile(join(this.#data, 'postmaster.pid'), 'utf8').catch(() => '')).split('\n')
    const id = lines[6]?.trim().split(/\s+/)[1]
    if (id !== undefined) await promisify(execFile)('ipcrm', ['-m', id]).catch(() => {}) // a courtesy
  }

  async #startError(child: ChildProcess): Promise<Error> {
    const log = await readFile(this.#logFile, 'utf8').catch(() => '')
    if (/could not bind.*Address already in use/.test(log)) return new PortInUseError(`port ${this.port} is in use`)
    const ending = child.signalCode ?? `exit code ${child.exitCode}`
    return new Error(`PostgreSQL ended while starting (${ending}):\n${log.split('\n').slice(-8).join('\n')}`)
  }
}

/** Handle of one database. Made by `createDatabase`. */
export class TestDatabase {
  readonly server: PostgresServer
  readonly name: string

  constructor(server: PostgresServer, name: string) {
    this.server = server
    this.name = name
  }

  get url(): string {
    return this.server.urlOf(this.name)
  }

  /** Runs one statement, or several without values, on a connection of its own, and returns the rows. */
  query<Row extends object>(text: string, values: unknown[] = []): Promise<Row[]> {
    return this.server.query<Row>(text, values, this.name)
  }

  /** Drops it, whoever is connected. Twice is harmless, and so is a server that is gone. */
  async drop(): Promise<void> {
    if (!this.server.isRunning) return
    // Who has just closed a connection may not have seen its end, and would take the server's last word for an error.
    await waitFor(() => this.#isFree(), { timeoutMs: 500, intervalMs: 5, describe: 'nobody to be connected' }).catch(
      () => {},
    )
    await this.server.query(`drop database if exists ${this.name} with (force)`)
  }

  async #isFree(): Promise<boolean> {
    const others = await this.server.query('select from pg_stat_activity where datname = $1', [this.name])
    return others.length === 0
  }
}

function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal)
    } catch {
      // It has ended by itself.
    }
  }
}

/** The processes that the server made: one for each connection, and its own. */
function childrenOf(parent: number): number[] {
  if (process.platform !== 'linux') return askForChildren(parent)
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && parentOf(name) === parent)
    .map(Number)
}

function parentOf(pid: string): number | undefined {
  try {
    // `pid (name) state parent ...`; the name may hold anything.
    return Number(/^.*\) \S (\d+)/s.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1])
  } catch {
    return undefined // it has ended meanwhile
  }
}

function askForChildren(parent: number): number[] {
  const { stdout } = spawnSync('pgrep', ['-P', String(parent)], { encoding: 'utf8' })
  return stdout.split('\n').filter(Boolean).map(Number)
}
