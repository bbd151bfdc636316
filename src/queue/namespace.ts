import { systemClock } from '../clock.ts'
import { LayoutError } from '../errors.ts'
import { asAccessError } from '../redis/access.ts'
import type { Connection } from '../redis/connection.ts'
import { keyPrefix } from './keys.ts'
import { LAYOUT, loadScripts } from './scripts.ts'

/** A connection on which a namespace was opened, and the life of the server ("boot") it talks to. */
export class NamespaceConnection {
  readonly connection: Connection
  readonly prefix: string
  /** Id of the entry in `boots` for this life of the server. Fences begun in it are at least so high. */
  readonly bootId: string
  /** How far the server's clock was ahead of ours when the namespace was opened, ms. */
  readonly clockOffsetMs: number

  constructor(connection: Connection, prefix: string, bootId: string, clockOffsetMs: number) {
    this.connection = connection
    this.prefix = prefix
    this.bootId = bootId
    this.clockOffsetMs = clockOffsetMs
  }

  get closed(): Promise<Error> {
    return this.connection.closed
  }

  destroy(): void {
    this.connection.destroy()
  }
}

/**
 * Opens a namespace on a fresh connection, before anything else is sent on it: a new life of the server is thus noted before
 * anything is written in it, which is what makes a loss countable. Throws LayoutError when another release wrote the namespace.
 */
export async function openNamespace(
  connection: Connection,
  namespace: string,
  options: {
    readonly queues: readonly string[]
    readonly makeGroups: boolean
    /** The highest instant that this process was told (ms), where it was told any. */
    readonly seenMs?: number
  },
): Promise<NamespaceConnection> {
  const prefix = keyPrefix(namespace)
  const pair = `${connection.server.runId}/${connection.server.replId}`
  const { queues, makeGroups, seenMs } = options
  const header = JSON.stringify({ pair, queues, groups: makeGroups, seen: seenMs })
  try {
    await loadMissing(connection)
    const { open } = loadScripts()
    const [bootId, , openedAt] = await connection
      .run<[string, string, string]>(open, prefix, [header])
      .catch((error: unknown) => {
        throw asAccessError(error, { command: ['EVALSHA', prefix], script: open.name })
      })
    return new NamespaceConnection(connection, prefix, bootId, Number(openedAt) - systemClock.wallMs())
  } catch (error) {
    throw asLayoutError(error)
  }
}

/**
 * Loads the scripts that the server does not know. Not on the first refusal: a call that is refused is overtaken by the next one when
 * another process loads the script between the two, and jobs of one key would change places.
 */
async function loadMissing(connection: Connection): Promise<void> {
  const scripts = Object.values(loadScripts())
  const send = <T>(...command: string[]) =>
    connection.send<T>(command).catch((error: unknown) => {
      throw asAccessError(error, { command })
    })
  const known = await send<number[]>('SCRIPT', 'EXISTS', ...scripts.map(({ sha }) => sha))
  const missing = scripts.filter((_, index) => known[index] !== 1)
  await Promise.all(missing.map(({ text }) => send('SCRIPT', 'LOAD', text)))
}

/** Turns a script's refusal of the layout into a LayoutError; anything else comes back as it is. */
export function asLayoutError(error: unknown): unknown {
  const found = error instanceof Error ? /MOCALAYOUT (\S+)/.exec(error.message)?.[1] : undefined
  return found === undefined || found === 'none' ? error : new LayoutError(found, LAYOUT)
}

/** True when a server that forgot everything (FLUSHALL) must be opened again before it is used. */
function wasForgotten(error: unknown): boolean {
  return error instanceof Error && /MOCALAYOUT none|^NOGROUP/.test(error.message)
}

/**
 * True when this connection leads to a server that will not do: one that forgot the namespace or its groups, or a master that became a
 * replica in a failover and refuses to write while the connection stays open.
 */
export function mustReopen(error: unknown): boolean {
  return wasForgotten(error) || (error instanceof Error && /^(READONLY|LOADING|MASTERDOWN)/.test(error.message))
}
