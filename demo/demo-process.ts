import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { waitFor } from '../test/support/wait-for.ts'
import type { RunDirectory } from './run-directory.ts'

// A watcher is left beside each process that kills it should the demo end without a word: also one that is stopped (SIGSTOP)
// at that moment. `test/support/redis-server.ts` does the same for Redis. A group of its own (`detached`) keeps a Ctrl-C on
// the terminal away from them: the demo ends them, in its order.
const LAUNCH = `
( read -r _ <&3 || kill -KILL $$ 2>/dev/null ) >/dev/null 2>&1 &
exec "$@" 3<&-
`

/** What a process is told on its command line. */
export interface ProcessSettings {
  readonly name: string
  readonly redisUrl: string
  readonly postgresUrl: string
  readonly directory: RunDirectory
}

/** One process of Moca, which the demo may stop, continue and kill. */
export class DemoProcess {
  readonly name: string
  readonly pid: number
  readonly logFile: string
  readonly #child: ChildProcess
  readonly #watcher: Writable

  /** `program`: a file of this folder. It is told its settings as JSON. */
  constructor(program: URL, settings: ProcessSettings) {
    this.name = settings.name
    this.logFile = join(settings.directory.logs, `${settings.name}.log`)
    const log = openSync(this.logFile, 'a')
    const command = [process.execPath, fileURLToPath(program), JSON.stringify(settings)]
    this.#child = spawn('sh', ['-c', LAUNCH, 'launch', ...command], {
      stdio: ['ignore', log, log, 'pipe'],
      detached: true,
    })
    closeSync(log)
    this.#watcher = this.#child.stdio[3] as Writable
    this.#watcher.on('error', () => {}) // the watcher may be gone before it is told
    this.#child.once('exit', () => this.#watcher.end('done\n'))
    if (this.#child.pid === undefined) throw new Error(`${settings.name} could not be started`)
    this.pid = this.#child.pid
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** Exit code or signal of a process that has ended. */
  get ending(): string {
    return this.#child.signalCode ?? `exit code ${this.#child.exitCode}`
  }

  /** Whether its log has this text. */
  async hasLogged(text: string): Promise<boolean> {
    return (await readFile(this.logFile, 'utf8')).includes(text)
  }

  /** Resolves when the process stands still. */
  async freeze(): Promise<void> {
    this.#child.kill('SIGSTOP')
    await waitUntilStopped(this.pid)
  }

  thaw(): void {
    this.#child.kill('SIGCONT')
  }

  /** At once and without a chance to clean up. Works on a frozen process too. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#ended(5_000)
  }

  /** Asks it to stop; kills it when it does not within `graceMs`. Twice is harmless. */
  async stop(graceMs = 20_000): Promise<void> {
    if (!this.isRunning) return
    this.#child.kill('SIGCONT') // a stopped process would never see the request
    this.#child.kill('SIGTERM')
    await this.#ended(graceMs).catch(() => this.kill())
  }

  /** Lets the process live on after the demo has ended. */
  release(): void {
    this.#watcher.end('done\n')
    this.#child.unref()
  }

  async #ended(timeoutMs: number): Promise<void> {
    await waitFor(() => !this.isRunning, { timeoutMs, describe: `${this.name} (process ${this.pid}) to end` })
  }
}

/** A signal is delivered a moment after it is sent: what a process still does meanwhile must be over before it is looked at. */
export async function waitUntilStopped(pid: number): Promise<void> {
  await waitFor(async () => (await stateOf(pid)).startsWith('T'), {
    intervalMs: 2,
    describe: `process ${pid} to stand still`,
  })
}

/** A letter as `ps` gives it. Linux tells it in a file; a small Linux has no `ps`, and macOS no such file. */
async function stateOf(pid: number): Promise<string> {
  if (process.platform !== 'linux') {
    return (await promisify(execFile)('ps', ['-o', 'state=', '-p', String(pid)])).stdout.trim()
  }
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  return stat.slice(stat.lastIndexOf(')') + 2) // the name before may hold anything
}
