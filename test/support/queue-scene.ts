import { setTimeout as sleep } from 'node:timers/promises'
import { givenPlace } from '../../src/job/job-id.ts'
import { GROUP, keyPrefix, type StreamLetter, streamKey } from '../../src/queue/keys.ts'
import { type NamespaceConnection, openNamespace } from '../../src/queue/namespace.ts'
import { loadScripts, type ScriptName } from '../../src/queue/scripts.ts'
import { Connection } from '../../src/redis/connection.ts'

// Puts jobs into any state by running the queue's scripts themselves, step by step: no worker, no timers, no chance.

export type SceneJob = {
  type?: string
  payload?: unknown
  key?: string
  /** Delay in ms. */
  in?: number
  /** A given id is made for jobs with a key or delay; this one takes its place. */
  id?: string
  /** Further options, as entry.ts names them. */
  options?: Record<string, unknown>
}

export type Fetched = { letter: StreamLetter; entry: string; place: string }

export type Outcome = Record<string, unknown> & {
  r: 'completed' | 'delayed' | 'dead' | 'released' | 'aside' | 'cancelled' | 'expired'
}

/** One namespace on a real server, and one pretended worker `w1`. */
export class QueueScene {
  readonly namespace: string
  #open: NamespaceConnection

  private constructor(namespace: string, open: NamespaceConnection) {
    this.namespace = namespace
    this.#open = open
  }

  static async open(url: string, namespace: string, queues: readonly string[] = ['default']): Promise<QueueScene> {
    const connection = await Connection.open({ url }, 'scene')
    return new QueueScene(namespace, await openNamespace(connection, namespace, { queues, makeGroups: true }))
  }

  get prefix(): string {
    return keyPrefix(this.namespace)
  }

  /** For a QueueReader. */
  readonly openNamespace = async (): Promise<NamespaceConnection> => this.#open

  close(): void {
    this.#open.destroy()
  }

  /** A command; `:` at the beginning of an argument stands for the namespace's prefix. */
  command<T = unknown>(...args: string[]): Promise<T> {
    return this.#open.connection.send<T>(args.map((arg) => (arg.startsWith(':') ? this.prefix + arg.slice(1) : arg)))
  }

  run<T>(script: ScriptName, header: object, ...args: string[]): Promise<T> {
    return this.#open.connection.run<T>(loadScripts()[script], this.prefix, [JSON.stringify(header), ...args])
  }

  /** Enqueues jobs in order; returns their places. */
  async enqueue(queue: string, jobs: readonly SceneJob[]): Promise<string[]> {
    const flat = jobs.flatMap(({ type = 'test.job', payload = null, key, in: delay, id, options = {} }) => {
      const given = id ?? (key !== undefined || delay !== undefined ? givenPlace(Date.now()) : undefined)
      const text = {
        ...(given === undefined ? {} : { i: given }),
        ...options,
        ...(key === undefined ? {} : { k: key }),
      }
      const control = given === undefined ? '' : JSON.stringify({ i: given, k: key, in: delay })
      return [type, Object.keys(text).length === 0 ? '' : JSON.stringify(text), JSON.stringify(payload), control]
    })
    const [, , ...places] = await this.run<string[]>('enqueue', { q: queue, n: jobs.length }, ...flat)
    return places
  }

  /** Reads the next entries of a stream as the worker does. */
  async fetch(queue: string, count: number, letter: StreamLetter = 'm', consumer = 'w1.1'): Promise<Fetched[]> {
    const key = streamKey(this.prefix, queue, letter)
    const reply = await this.#open.connection.send<[string, [string, string[]][]][] | null>(
      ['XREADGROUP', 'GROUP', GROUP, consumer, 'COUNT', String(count), 'STREAMS', key, '>'],
    ) // biome-ignore format: one command
    const entries = reply?.[0]?.[1] ?? []
    const optionsOf = (fields: string[]) => JSON.parse(fields[3] || '{}') as { i?: string }
    return entries.map(([entry, fields]) => ({ letter, entry, place: optionsOf(fields).i ?? entry }))
  }

  /** Reports the same outcome for some attempts. */
  async settle(queue: string, fetched: readonly Fetched[], outcome: Outcome, history?: string): Promise<string[]> {
    const others = fetched.map(({ letter, entry, place }) =>
      JSON.stringify({ s: letter, e: entry, i: place, ...outcome }),
    )
    const header = { q: queue, w: 'w1', lists: [], m: others.length, h: history, hn: 1000, ha: 3_600_000 }
    const [stale, failed] = await this.run<[string[], string[]]>('settle', header, ...others)
    if (failed.length > 0) throw new Error(`settle failed: ${failed.join(' ')}`)
    return stale
  }

  /** Lets some attempts die for good. */
  async bury(queue: string, fetched: readonly Fetched[], reason = 'attempts used up'): Promise<void> {
    await this.settle(queue, fetched, {
      r: 'dead',
      rs: reason,
      a: true,
      er: { m: 'Error: boom', st: 'Error: boom\n    at x' },
    })
  }

  /** Waits, by polling, until the server's clock has passed an instant a few ms ahead. */
  async pass(ms: number): Promise<void> {
    const until = (await this.serverMs()) + ms
    while ((await this.serverMs()) <= until) await sleep(1)
  }

  async serverMs(): Promise<number> {
    const [seconds, micros] = await this.command<[string, string]>('TIME')
    return Number(seconds) * 1000 + Number(micros) / 1000
  }
}
