import { type ChildProcess, execFile } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { isAlive, release, startWatched } from '../../src/processes/dev/watched-server.ts'
import { waitFor } from './wait-for.ts'

// A real Redis for tests, the demo and the benchmarks: a child process of its own, in a directory of its own, which does not outlive the
// process that started it.

// Below the ports that systems give to outgoing connections, so that none of them takes a port while its server restarts.
const PORTS = { from: 20_000, to: 32_000 }

export type RedisServerOptions = {
  /** Append-only file. Default: false, or true when `fsync` is given. */
  appendonly?: boolean
  fsync?: 'always' | 'everysec' | 'no'
  /** Where the server keeps its files. Default: a temporary directory, removed by `stop`. One that is given is kept. */
  dir?: string
  /** Default: a free one. */
  port?: number
  /** Further arguments of redis-server, such as `['--maxmemory', '50mb']`. */
  args?: string[]
  /** How long it may take to answer, which includes loading its files. Default 15,000. */
  startTimeoutMs?: number
}

/** Starts a redis-server on the loopback address and resolves when it answers PING. */
export async function startRedis(options: RedisServerOptions = {}): Promise<RedisServer> {
  const dir = options.dir ?? (await mkdtemp(join(tmpdir(), 'moca-redis-')))
  await mkdir(dir, { recursive: true })
  // The server itself tries the port: looking for a free one first would leave a gap in which another could take it.
  for (let attempt = 1; ; attempt++) {
    const server = new RedisServer({
      ...options,
      dir,
      port: options.port ?? randomInt(PORTS.from, PORTS.to),
      ownsDir: !options.dir,
    })
    try {
      await server.start()
      return server
    } catch (error) {
      if (error instanceof PortInUseError && options.port === undefined && attempt < 20) continue
      await server.stop()
      throw error
    }
  }
}

class PortInUseError extends Error {}

type Settings = RedisServerOptions & { dir: string; port: number; ownsDir: boolean }

/** Handle of one redis-server. Made by `startRedis`. */
export class RedisServer {
  readonly #settings: Settings
  #child: ChildProcess | undefined

  constructor(settings: Settings) {
    this.#settings = settings
  }

  get port(): number {
    return this.#settings.port
  }

  get dir(): string {
    return this.#settings.dir
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`
  }

  /** Process id of the running server, `undefined` while there is none. */
  get pid(): number | undefined {
    return this.isRunning ? this.#child?.pid : undefined
  }

  get isRunning(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** Starts the server on its port and directory. For use after `kill`; `startRedis` has called it once already. */
  async start(): Promise<void> {
    if (this.isRunning) return
    const child = this.#spawn()
    this.#child = child
    try {
      await waitFor(async () => !isAlive(child) || (await answers(this.port, child.pid)), {
        timeoutMs: this.#settings.startTimeoutMs ?? 15_000,
        intervalMs: 3,
        describe: `redis-server on port ${this.port} to answer PING`,
      })
    } catch (error) {
      await this.kill('SIGKILL')
      throw error
    }
    if (!isAlive(child)) throw await this.#startError(child)
  }

  /** Ends the server for good and removes its directory, unless the directory was given. Twice is harmless. */
  async stop(): Promise<void> {
    // Files that stay are worth a clean shutdown; those that go are not worth its tenth of a second.
    await this.kill(this.#settings.ownsDir ? 'SIGKILL' : 'SIGTERM')
    if (this.#settings.ownsDir) await rm(this.dir, { recursive: true, force: true })
  }

  /** Sends a signal. Resolves once the server is gone, or at once for a signal that does not end it (SIGSTOP, SIGCONT). */
  async kill(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child
    if (!child || !isAlive(child)) return
    child.kill(signal)
    if (signal === 'SIGSTOP' || signal === 'SIGCONT') return
    if (signal !== 'SIGKILL') child.kill('SIGCONT') // a stopped server would never see the request to end
    child.ref()
    await waitFor(() => !isAlive(child), {
      timeoutMs: 10_000,
      intervalMs: 2,
      describe: `redis-server ${child.pid} to end on ${signal}`,
    })
  }

  /** Lets the server live on after this process, which must not stop it then. */
  release(): void {
    if (this.#child) release(this.#child)
  }

  /** Ends the server cleanly, if it still runs, and starts it again with the same port, directory and settings. */
  async restart(): Promise<void> {
    await this.kill('SIGTERM')
    await this.start()
  }

  /** Runs redis-cli against this server and returns its output, without the last line break. */
  async cli(args: string[]): Promise<string> {
    const { stdout } = await promisify(execFile)('redis-cli', ['-h', '127.0.0.1', '-p', String(this.port), ...args], {
      maxBuffer: 64 * 1024 * 1024,
    })
    return stdout.replace(/\n$/, '')
  }

  get #logFile(): string {
    return join(this.dir, 'redis.log')
  }

  #spawn(): ChildProcess {
    const { dir, port, ownsDir, fsync, args = [] } = this.#settings
    const appendonly = this.#settings.appendonly ?? fsync !== undefined
    const place = ['--bind', '127.0.0.1', '--port', String(port), '--dir', dir, '--save', '']
    const durability = ['--appendonly', appendonly ? 'yes' : 'no', '--appendfsync', fsync ?? 'everysec']
    return startWatched({
      command: ['redis-server', ...place, ...durability, ...args],
      ending: 'KILL',
      ...(ownsDir && { removes: dir }),
      logFile: this.#logFile,
    })
  }

  async #startError(child: ChildProcess): Promise<Error> {
    const log = await readFile(this.#logFile, 'utf8').catch(() => '')
    if (log.includes('Address already in use')) return new PortInUseError(`port ${this.port} is in use`)
    if (child.exitCode === 127) return new Error('redis-server was not found; `npm run ensure-redis` installs it')
    const ending = child.signalCode ?? `exit code ${child.exitCode}`
    return new Error(`redis-server ended while starting (${ending}):\n${log.split('\n').slice(-8).join('\n')}`)
  }
}

/** Whether the server on this port is our child (another program may hold the port) and has loaded its files. */
function answers(port: number, pid: number | undefined): Promise<boolean> {
  return new Promise((resolve) => {
    let reply = ''
    const socket = connect({ port, host: '127.0.0.1' })
    const settle = (isReady: boolean) => {
      socket.destroy()
      resolve(isReady)
    }
    socket.setTimeout(250, () => settle(false)) // asked again until the deadline
    socket.once('error', () => settle(false)).once('close', () => settle(false))
    socket.on('data', (chunk) => {
      reply += String(chunk)
      if (reply.startsWith('-')) return settle(false) // such as -LOADING
      if (reply.includes('executable:')) settle(reply.startsWith('+PONG') && reply.includes(`process_id:${pid}\r\n`))
    })
    socket.write('PING\r\nINFO server\r\n')
  })
}
