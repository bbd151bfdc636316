import { type ChildProcess, fork } from 'node:child_process'
import { waitFor } from '../support/wait-for.ts'
import { type LedgerLine, LedgerTail, monotonicUs } from './ledger.ts'
import type { Fate } from './verdict.ts'
import type { FromWorkerProcess, ToWorkerProcess, WorkerProcessOptions } from './worker-process.ts'

const PROGRAM = new URL('./worker-process.ts', import.meta.url)

/** One worker process, and all that is done to it. */
export class Member {
  readonly pid: number
  readonly #child: ChildProcess
  readonly #tail: LedgerTail
  readonly #away: { fromUs: number; toUs: number }[] = []
  #diedUs: number | undefined
  #stopUs: number | undefined
  #isReady = false
  #health: Extract<FromWorkerProcess, { kind: 'health' }>['health'] | undefined
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
    return { pid: this.pid, diedUs: this.#diedUs, stopUs: this.#stopUs, away: this.#away }
  }

  async ready(): Promise<void> {
    await waitFor(() => this.#isReady || !this.isAlive, {
      timeoutMs: 30_000,
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
    this.#child.kill('SIGKILL')
    await this.gone()
    return this.unfinished()
  }

  /** SIGTERM, once per call. */
  stop(): void {
    this.#stopUs ??= monotonicUs()
    this.#child.kill('SIGTERM')
  }

  async gone(timeoutMs = 30_000): Promise<void> {
    await waitFor(() => !this.isAlive, { timeoutMs, describe: `worker ${this.pid} to end` })
  }

  /** SIGSTOP until the returned function is called. */
  freeze(): () => void {
    const absence = this.leave()
    this.#child.kill('SIGSTOP')
    return () => {
      absence()
      this.#child.kill('SIGCONT')
    }
  }

  /** Notes that it cannot reach Redis, until the returned function is called. */
  leave(): () => void {
    const absence = { fromUs: monotonicUs(), toUs: Number.POSITIVE_INFINITY }
    this.#away.push(absence)
    return () => {
      absence.toUs = monotonicUs()
    }
  }

  endKeeper(): void {
    this.#send({ kind: 'end keeper' })
  }

  /** What the worker says of itself; undefined when it does not answer. */
  async health(): Promise<object | undefined> {
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

  /** Starts a worker; resolves when the process exists, not when it is ready. */
  start(overrides: Partial<WorkerProcessOptions> = {}): Member {
    const child = fork(PROGRAM, [JSON.stringify({ ...this.#options, ...overrides })], { execArgv: [] })
    const member = new Member(child, this.#options.dir, this.#onEnd)
    this.#members.push(member)
    return member
  }

  async startMany(count: number, overrides: Partial<WorkerProcessOptions> = {}): Promise<readonly Member[]> {
    const members = Array.from({ length: count }, () => this.start(overrides))
    await Promise.all(members.map((member) => member.ready()))
    return members
  }

  /** Reads what all handlers have written since the last look. */
  look(): void {
    for (const member of this.#members) member.unfinished()
  }

  /** Ends what is left. */
  async close(): Promise<void> {
    process.off('exit', this.#killAll)
    await Promise.all(this.alive.map((member) => member.kill()))
    for (const member of this.#members) member.close()
  }
}
