import { fileURLToPath } from 'node:url'
import { basename } from 'node:path'
import { DemoProcess, type ProcessSettings } from './demo-process.ts'

/** Processes of one kind. For one that was killed another is started, as those who run a deployment would have it. */
export class Crew {
  readonly #program: URL
  readonly #settings: Omit<ProcessSettings, 'name'>
  readonly #all: DemoProcess[] = []

  /** `program`: `<kind>-process.ts`. */
  constructor(program: URL, settings: Omit<ProcessSettings, 'name'>) {
    this.#program = program
    this.#settings = settings
  }

  /** What the processes are: `worker`, `relay` or `scheduler`. */
  get kind(): string {
    return basename(fileURLToPath(this.#program), '-process.ts')
  }

  /** In the order in which they were started. */
  get running(): readonly DemoProcess[] {
    return this.#all.filter(({ isRunning }) => isRunning)
  }

  /** Under a name that none had before: files are named by it. */
  start(): DemoProcess {
    const started = new DemoProcess(this.#program, { ...this.#settings, name: `${this.kind}-${this.#all.length + 1}` })
    this.#all.push(started)
    return started
  }

  async kill(): Promise<void> {
    await Promise.all(this.running.map((process) => process.kill()))
  }

  /** As a deployment would. Which did not end cleanly, and how. */
  async stop(graceMs?: number): Promise<string[]> {
    const { running } = this
    await Promise.all(running.map((process) => process.stop(graceMs)))
    return running
      .filter(({ ending }) => ending !== 'exit code 0')
      .map(({ name, ending }) => `${name} ended with ${ending}`)
  }
}
