import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { waitFor } from './wait-for.ts'

// Runs the command line as a process of its own, in a directory of its own, as a user does.

const SRC = new URL('../../src/', import.meta.url)

export type Ended = { code: number | null; stdout: string; stderr: string }

/** A project of a user: a directory with a configuration, jobs and handlers. */
export class Project {
  readonly dir: string
  readonly #env: Record<string, string>
  readonly #running = new Set<Running>()

  private constructor(dir: string, env: Record<string, string>) {
    this.dir = dir
    this.#env = env
  }

  /** `files`: name -> text, in which `SRC/` stands for the package's sources. */
  static async make(env: Record<string, string>, files: Record<string, string> = {}): Promise<Project> {
    const dir = await mkdtemp(join(tmpdir(), 'moca-project-'))
    for (const [name, text] of Object.entries(files))
      await writeFile(join(dir, name), text.replaceAll('SRC/', SRC.href))
    return new Project(dir, env)
  }

  /** Runs a command to its end. */
  run(args: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
    return this.start(args, env).ended
  }

  /** Starts a command that goes on. `input`: what it reads. */
  start(args: readonly string[], env: Record<string, string> = {}, program = 'cli/main.ts', input?: string): Running {
    const child = spawn(process.execPath, [new URL(program, SRC).pathname, ...args], {
      cwd: this.dir,
      env: { PATH: process.env.PATH, ...this.#env, ...env },
      stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    })
    child.stdin?.end(input)
    const running = new Running(child)
    this.#running.add(running)
    return running
  }

  /** Ends what still runs, and removes the directory. */
  async remove(): Promise<void> {
    for (const running of this.#running) running.kill('SIGKILL')
    await Promise.all([...this.#running].map(({ ended }) => ended))
    await rm(this.dir, { recursive: true, force: true })
  }
}

export class Running {
  readonly ended: Promise<Ended>
  readonly #child: ChildProcess
  #stdout = ''
  #stderr = ''

  constructor(child: ChildProcess) {
    this.#child = child
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout += text
    })
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text
    })
    this.ended = once(child, 'close').then(([code]) => ({ code, stdout: this.#stdout, stderr: this.#stderr }))
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null
  }

  get output(): string {
    return this.#stdout + this.#stderr
  }

  /** False: it had ended already. */
  kill(signal: NodeJS.Signals): boolean {
    return this.#child.kill(signal)
  }

  /** Waits until the process has said something. */
  async said(pattern: RegExp, timeoutMs = 15_000): Promise<RegExpMatchArray> {
    return waitFor(() => this.output.match(pattern), { timeoutMs, describe: () => `${pattern} in:\n${this.output}` })
  }
}
