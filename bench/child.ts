import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** What a task in a child process holds to talk to the process that started it. */
export interface ParentLink {
  send(value: unknown): void
  receive(): Promise<unknown>
}

export type ChildTask<Args, Result> = (args: Args, parent: ParentLink) => Promise<Result>

export type ChildMessage =
  | { readonly kind: 'task'; readonly module: string; readonly task: string; readonly args: unknown }
  | { readonly kind: 'message'; readonly value: unknown }
  | { readonly kind: 'result'; readonly value: unknown }
  | { readonly kind: 'error'; readonly stack: string }

export interface ChildOptions {
  readonly nodeArguments?: readonly string[]
  /** The child is killed and the measurement fails when it has not finished by then. Default 180,000. */
  readonly deadlineMs?: number
}

/** A function running in a process of its own, so that no system under test shares an event loop with another part. */
export class Child<Result> {
  readonly #process: ChildProcess
  readonly #inbox: Inbox
  readonly #result: Promise<Result>

  constructor(child: ChildProcess, inbox: Inbox, result: Promise<Result>) {
    this.#process = child
    this.#inbox = inbox
    this.#result = result
  }

  send(value: unknown): void {
    this.#process.send({ kind: 'message', value } satisfies ChildMessage)
  }

  /** The next message of the child; rejects when the child fails instead. */
  receive(): Promise<unknown> {
    return Promise.race([
      this.#inbox.take(),
      this.#result.then(() => Promise.reject(new Error('The child ended without a word'))),
    ])
  }

  result(): Promise<Result> {
    return this.#result
  }

  kill(): void {
    this.#process.kill('SIGKILL')
  }
}

/**
 * Runs an exported function of a module in a new process: `startChild(import.meta.url, drainWorker, args)`. Arguments,
 * messages and the result pass by structured clone.
 */
export function startChild<Args, Result>(
  moduleUrl: string,
  task: ChildTask<Args, Result>,
  args: Args,
  { nodeArguments = [], deadlineMs = 180_000 }: ChildOptions = {},
): Child<Result> {
  const child = fork(fileURLToPath(new URL('./child-process.ts', import.meta.url)), {
    execArgv: [...nodeArguments],
    serialization: 'advanced',
  })
  const inbox = new Inbox()
  const result = new Promise<Result>((resolve, reject) => {
    const deadline = setTimeout(() => {
      child.kill('SIGKILL')
      reject(new Error(`${task.name} was not done after ${deadlineMs} ms`))
    }, deadlineMs)
    child.on('message', (message: ChildMessage) => {
      if (message.kind === 'message') inbox.put(message.value)
      if (message.kind === 'result') resolve(message.value as Result)
      if (message.kind === 'error') reject(new Error(`${task.name} failed: ${message.stack}`))
    })
    child.on('exit', (code, signal) => {
      clearTimeout(deadline)
      reject(new Error(`${task.name} ended early (code ${code}, signal ${signal})`))
    })
  })
  result.catch(() => {}) // Reported by whoever waits for it; a killed child has nobody waiting.
  child.send({ kind: 'task', module: moduleUrl, task: task.name, args } satisfies ChildMessage)
  return new Child(child, inbox, result)
}

/** Messages in the order of their arrival, whether somebody waits already or not. */
export class Inbox {
  readonly #values: unknown[] = []
  readonly #takers: ((value: unknown) => void)[] = []

  put(value: unknown): void {
    const taker = this.#takers.shift()
    if (taker) taker(value)
    else this.#values.push(value)
  }

  take(): Promise<unknown> {
    if (this.#values.length > 0) return Promise.resolve(this.#values.shift())
    return new Promise((resolve) => this.#takers.push(resolve))
  }
}
