import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { type Clock, systemClock } from '../../clock.ts'
import { ConfigError } from '../../errors.ts'
import { isAlive } from './watched-server.ts'

/** A server that was started for development. */
export interface DevServer {
  readonly url: string
  readonly data: string
  /** Resolves when it ended, by itself or because it was stopped. */
  readonly ended: Promise<void>
  /** Ends it cleanly: its data are on the disk then. Twice is harmless. */
  stop(): Promise<void>
}

export interface StartOptions {
  readonly name: string
  /** Starts it on a port. */
  readonly spawn: (port: number) => ChildProcess
  readonly isReady: (port: number, child: ChildProcess) => Promise<boolean>
  /** Where it prints. */
  readonly logFile: string
  /** The port to try first. */
  readonly port: number | undefined
}

export interface Started {
  readonly child: ChildProcess
  readonly port: number
}

// Below the ports that systems give to outgoing connections.
const PORTS = { from: 20_000, to: 32_000 }
const START_MS = 60_000
const POLL_MS = 20
const STOP_MS = 15_000
/** As long as the server of a process that was killed just now may still have its port and data. */
const TAKEN_MS = 12_000
const TAKEN = /Address already in use|lock file .* already exists|could not bind/

/**
 * Starts a server and waits until it is ready. The server itself tries the port: to look for a free one first would leave a gap in which
 * another could take it.
 */
export async function startOnPort(options: StartOptions, clock: Clock = systemClock): Promise<Started> {
  const beganAtMs = clock.monotonicMs()
  let port = options.port ?? randomPort()
  for (;;) {
    const child = options.spawn(port)
    if (await becomesReady(options, port, child, clock)) return { child, port }
    const said = await readFile(options.logFile, 'utf8').catch(() => '')
    const waitedMs = clock.monotonicMs() - beganAtMs
    if (!TAKEN.test(said) || waitedMs > TAKEN_MS) {
      throw new ConfigError(
        `${options.name} did not start (${howEnded(child)}):\n${said.trim().split('\n').slice(-8).join('\n')}`,
      )
    }
    // Its port from before may still be that of the server of a process that was killed; after a while it is somebody else's.
    if (options.port === undefined || waitedMs > TAKEN_MS / 2) port = randomPort()
    await clock.wait(250)
  }
}

/** Asks it to end, by a signal that lets it write down what it has, and then makes it. */
export async function end(child: ChildProcess, signal: NodeJS.Signals, clock: Clock = systemClock): Promise<void> {
  if (!isAlive(child)) return
  const exited = once(child, 'exit')
  child.ref()
  child.kill(signal)
  const passed = new AbortController()
  await Promise.race([exited, clock.wait(STOP_MS, passed.signal)])
  passed.abort()
  if (!isAlive(child)) return
  child.kill('SIGKILL')
  await exited
}

async function becomesReady(
  { name, isReady }: StartOptions,
  port: number,
  child: ChildProcess,
  clock: Clock,
): Promise<boolean> {
  const beganAtMs = clock.monotonicMs()
  while (isAlive(child)) {
    if (await isReady(port, child).catch(() => false)) return true
    if (clock.monotonicMs() - beganAtMs > START_MS) {
      await end(child, 'SIGKILL', clock)
      throw new ConfigError(`${name} was not ready within ${START_MS / 1000} s`)
    }
    await clock.wait(POLL_MS)
  }
  return false
}

function howEnded({ exitCode, signalCode }: ChildProcess): string {
  return signalCode ?? `exit code ${exitCode}`
}

function randomPort(): number {
  return PORTS.from + Math.floor(Math.random() * (PORTS.to - PORTS.from))
}
