import { readFileSync } from 'node:fs'
import { GROUP, keyPrefix, type StreamLetter, streamKey } from '../../src/queue/keys.ts'
import type { ScriptName, Scripts } from '../../src/queue/scripts.ts'
import { readCommand } from '../../src/queue/worker/worker-session.ts'
import { Connection } from '../../src/redis/connection.ts'
import { parsePicture, type Picture } from './picture.ts'

const LOOK = readFileSync(new URL('lua/look.lua', import.meta.url), 'utf8')
const COPY = readFileSync(new URL('lua/copy.lua', import.meta.url), 'utf8')

/** The only queue of the model's namespaces. */
export const QUEUE = 'q'

/** No lease of a test ends by itself, however slow the machine: it is ended by `age`. */
export const LEASE_MS = 100_000_000
/** Of workers that registered a longer one. */
export const LONG_LEASE_MS = 10 * LEASE_MS

export type ReadEntry = readonly [entry: string, fields: readonly string[]]

/** A database of a real server for one run of the model at a time, and the patched scripts on it. */
export class Database {
  readonly connection: Connection
  readonly scripts: Scripts
  readonly #look: string
  readonly #copy: string

  private constructor(connection: Connection, scripts: Scripts, look: string, copy: string) {
    this.connection = connection
    this.scripts = scripts
    this.#look = look
    this.#copy = copy
  }

  static async open(url: string, database: number, scripts: Scripts): Promise<Database> {
    const connection = await Connection.open({ url: `${url}/${database}`, replyTimeoutMs: 60_000 }, 'model')
    const load = (text: string) => connection.send<string>(['SCRIPT', 'LOAD', text])
    for (const { text } of Object.values(scripts)) await load(text)
    return new Database(connection, scripts, await load(LOOK), await load(COPY))
  }

  async clear(): Promise<void> {
    await this.connection.send(['FLUSHDB'])
  }

  async look(prefix: string): Promise<Picture> {
    return parsePicture(await this.connection.send<string>(['EVALSHA', this.#look, '1', prefix, QUEUE]))
  }

  async copy(from: string, to: string): Promise<void> {
    await this.connection.send(['EVALSHA', this.#copy, '2', from, to])
  }

  close(): void {
    this.connection.destroy()
  }
}

/** One namespace in a database, with a clock that the test sets. */
export class NamespaceUnderTest {
  readonly prefix: string
  nowMs: number
  /** The call of the next script that fails; 0 = none. */
  failingCall = 0
  readonly #database: Database

  constructor(database: Database, namespace: string, nowMs: number) {
    this.#database = database
    this.prefix = keyPrefix(namespace)
    this.nowMs = nowMs
  }

  /** Runs a script at `nowMs`. */
  run<T>(script: ScriptName, header: object, args: readonly string[] = []): Promise<T> {
    const { sha } = this.#database.scripts[script]
    return this.command<T>(
      'EVALSHA',
      sha,
      '3',
      this.prefix,
      String(this.nowMs),
      String(this.failingCall),
      JSON.stringify(header),
      ...args,
    )
  }

  command<T = unknown>(...args: string[]): Promise<T> {
    return this.#database.connection.send<T>(args)
  }

  look(): Promise<Picture> {
    return this.#database.look(this.prefix)
  }

  copyTo(other: NamespaceUnderTest): Promise<void> {
    return this.#database.copy(this.prefix, other.prefix)
  }

  /** Opens the namespace on a new connection: a worker's, which makes the groups of the queue, or a producer's. */
  async open(pair: string, by: 'worker' | 'producer'): Promise<string> {
    const header = by === 'worker' ? { pair, queues: [QUEUE], groups: true } : { pair, queues: [], groups: false }
    const [bootId] = await this.run<[string]>('open', header)
    return bootId
  }

  /** Reads as a worker does. A stream that was never made has nothing. */
  async read(letter: string, consumer: string, count: number): Promise<readonly ReadEntry[]> {
    const key = streamKey(this.prefix, QUEUE, letter as StreamLetter)
    const command = readCommand(consumer, count, 0, [key])
    try {
      const reply = await this.command<[string, ReadEntry[]][] | null>(...command)
      return reply?.[0]?.[1] ?? []
    } catch (error) {
      if (error instanceof Error && error.message.startsWith('NOGROUP')) return []
      throw error
    }
  }

  /** Lets the leases of some entries end, without a word from their owners. */
  async age(held: readonly { letter: string; entry: string; owner: string }[], idleMs = 2 * LEASE_MS): Promise<void> {
    await Promise.all(
      held.map(({ letter, entry, owner }) => {
        const key = streamKey(this.prefix, QUEUE, letter as StreamLetter)
        return this.command('XCLAIM', key, GROUP, owner, '0', entry, 'IDLE', String(idleMs), 'JUSTID')
      }),
    )
  }

  /** Forgets everything, like FLUSHALL. */
  async flush(): Promise<void> {
    const keys = await this.command<string[]>('KEYS', `${this.prefix}*`)
    if (keys.length > 0) await this.command('DEL', ...keys)
  }
}
