import { type ChildProcess, fork, spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { waitFor } from '../support/wait-for.ts'
import { type LedgerLine, LedgerTail, monotonicUs } from './ledger.ts'
import type { Fate } from './verdict.ts'
import type { WorkerProcessOptions } from './worker-options.ts'
import type { FromWorkerProcess, ToWorkerProcess, WorkerProcessHealth } from './worker-process.ts'

const PROGRAM = new URL('./worker-process.ts', import.meta.url)
const COMMAND_LINE = new URL('../../src/cli/main.ts', import.meta.url)
const CONFIG = new URL('./command/moca.config.ts', import.meta.url)
/** How a process ends that was told to stop a second time. */
const INTERRUPTED = 130

/** One worker process, and all that is done to it. */
export class Member {
  readonly pid: number
  readonly #child: ChildProcess
  readonly #tail: LedgerTail
  readonly #away: { fromUs: number; toUs: number }[] = []
  #diedUs: number | undefined
  #stopUs: number | undefined
  #stops = 0
  #isKilled = false
  #isReady = false
  #health: WorkerProcessHealth | undefined
  #parting: Extract<FromWorkerProcess, { kind: 'stopped' }> | undefined

  constructor(child: ChildProcess, dir: string, onEnd: (line: LedgerLine) => void) {
    this.#child = child
    this.pid = child.pid as number
    this.#tail = new LedgerTail(dir, this.pid, onEnd)
    child.once('exit', () => {
      this.#diedUs = monotonicUs()
    })
    child.on('message', (message: FromWorkerProcess) => {
      if (message.kind === 'ready') this.#isReady = true
      else if (message.kind === 'stopped') this.#parting = message
      else this.#health = message.health
    })
  }

  get isAlive(): boolean {
    return this.#diedUs === undefined
  }

  /** What it said when it had stopped in an orderly way. */
  get parting(): Extract<FromWorkerProcess, { kind: 'stopped' }> | undefined {
    return this.#parting
  }

  get exitCode(): number | null {
    return this.#child.exitCode
  }

  get fate(): Fate {
    return {
      pid: this.pid,
      diedUs: this.#diedUs,
      stopUs: this.#stopUs,
      wasCutShort: this.#wasCutShort,
      hasCrashed: this.#hasCrashed,
      away: this.#away,
    }
  }

  get #wasCutShort(): boolean {
    return this.#stops > 1 && this.exitCode === INTERRUPTED
  }

  /** It ended otherwise than it was made to. (A poison pill sends SIGKILL to its own process.) */
  get #hasCrashed(): boolean {
    if (this.isAlive || this.#isKilled || this.#wasCutShort || this.#child.signalCode === 'SIGKILL') return false
    return this.#stopUs === undefined || this.exitCode !== 0
  }

  async ready(): Promise<void> {
    await waitFor(() => this.#isReady || !this.isAlive, {
      timeoutMs: 60_000,
      describe: `worker ${this.pid} to be ready`,
    })
    if (!this.isAlive) throw new Error(`worker ${this.pid} ended while starting (exit code ${this.exitCode})`)
  }

  /** Handlers that have begun and not ended, as they wrote themselves. */
  unfinished(): readonly LedgerLine[] {
    return this.#tail.unfinished()
  }

  /** When its latest handler began, as of the last look. */
  get lastStartUs(): number {
    return this.#tail.lastStartUs
  }

  /** SIGKILL. Resolves when it is gone, with what it held. */
  async kill(): Promise<readonly LedgerLine[]> {
    this.#isKilled = true
    this.#child.kill('SIGKILL')
    await this.gone()
    return this.unfinished()
  }

  /** Tells it to stop, once per call. */
  stop(signal: 'SIGTERM' | 'SIGINT' = 'SIGTERM'): void {
    this.#stopUs ??= monotonicUs()
    this.#stops++
    this.#child.kill(signal)
  }

  async gone(timeoutMs = 30_000): Promise<void> {
    await waitFor(() => !this.isAlive, { timeoutMs, describe: `worker ${this.pid} to end` })
  }

  /** SIGSTOP until the returned function is called. */
  freeze(): () => void {
    const absence = { fromUs: monotonicUs(), toUs: Number.POSITIVE_INFINITY }
    this.#away.push(absence)
    this.#child.kill('SIGSTOP')
    return () => {
      absence.toUs = monotonicUs()
      this.#child.kill('SIGCONT')
    }
  }

  endKeeper(): void {
    this.#send({ kind: 'end keeper' })
  }

  /** What the worker says of itself; undefined when it does not answer (`moca worker start` is not asked). */
  async health(): Promise<WorkerProcessHealth | undefined> {
    if (!this.#child.connected) return undefined
    this.#health = undefined
    this.#send({ kind: 'health' })
    return waitFor(() => this.#health, { timeoutMs: 2_000 }).catch(() => undefined)
  }

  #send(message: ToWorkerProcess): void {
    this.#child.send(message)
  }

  close(): void {
    this.#tail.close()
  }
}

type Overrides = Partial<Pick<WorkerProcessOptions, 'worker' | 'url' | 'replyTimeoutMs'>>

/** The worker processes of a run. */
export class Fleet {
  readonly #options: WorkerProcessOptions
  readonly #members: Member[] = []
  readonly #onEnd: (line: LedgerLine) => void
  readonly #killAll = (): void => {
    for (const member of this.alive) process.kill(member.pid, 'SIGKILL')
  }

  /** `onEnd` hears of every run that ended, when `look` is called. */
  constructor(options: WorkerProcessOptions, onEnd: (line: LedgerLine) => void) {
    this.#options = options
    this.#onEnd = onEnd
    // A child that was stopped by SIGSTOP would not notice that its parent is gone.
    process.once('exit', this.#killAll)
  }

  get alive(): readonly Member[] {
    return this.#members.filter(({ isAlive }) => isAlive)
  }

  get fates(): readonly Fate[] {
    return this.#members.map(({ fate }) => fate)
  }

  /** Starts a worker, which is not ready yet. */
  start(overrides: Overrides = {}): Member {
    return this.#add(fork(PROGRAM, [JSON.stringify(this.#with(overrides))], { execArgv: [] }))
  }

  async startMany(count: number, overrides: Overrides = {}): Promise<readonly Member[]> {
    const members = Array.from({ length: count }, () => this.start(overrides))
    await Promise.all(members.map((member) => member.ready()))
    return members
  }

  /** Starts `moca worker start` as a user does. It does not say when it is ready: it works. */
  startCommand(overrides: Overrides = {}): Member {
    const options = this.#with(overrides)
    const log = openSync(join(options.dir, `command-${this.#members.length}.log`), 'a')
    const args = [fileURLToPath(COMMAND_LINE), 'worker', 'start', '--quiet', '--config', fileURLToPath(CONFIG)]
    const env = { PATH: process.env.PATH, CHAOS_WORKER: JSON.stringify(options) }
    const child = spawn(process.execPath, args, { env, stdio: ['pipe', log, log] })
    closeSync(log)
    return this.#add(child)
  }

  /** Reads what all handlers have written since the last look. */
  look(): void {
    for (const member of this.#members) member.unfinished()
  }

  #with({ worker, ...others }: Overrides): WorkerProcessOptions {
    return { ...this.#options, ...others, worker: { ...this.#options.worker, ...worker } }
  }

  #add(child: ChildProcess): Member {
    const member = new Member(child, this.#options.dir, this.#onEnd)
    this.#members.push(member)
    return member
  }

  /** Ends what is left. */
  async close(): Promise<void> {
    process.off('exit', this.#killAll)
    await Promise.all(this.alive.map((member) => member.kill()))
    for (const member of this.#members) member.close()
  }
}
