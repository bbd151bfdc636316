import { randomUUID } from 'node:crypto'
import { fenceOf } from '../../src/job/job-id.ts'
import { historyHead, historyLine } from '../../src/queue/history.ts'
import type { Scripts } from '../../src/queue/scripts.ts'
import { startRedis } from '../support/redis-server.ts'
import { checkPicture, placesOf } from './invariants.ts'
import { Database, LEASE_MS, NamespaceUnderTest, QUEUE } from './namespace-under-test.ts'
import { patchedScripts } from './patched-scripts.ts'
import type { Picture } from './picture.ts'
import type { SettledOutcome } from './server-model.ts'

// Interleavings written down by hand: the real scripts, one after another, at instants that the test chooses. After each, all that
// must hold at any instant is checked.

const BEGIN_MS = 1_800_000_000_000

export interface SceneJob {
  type?: string
  key?: string
  /** Delay in ms. */
  in?: number
  /** Hash of an idempotency key. */
  idempotency?: string
  big?: boolean
  /** It keeps its key when it dies. */
  blocks?: boolean
}

/** One attempt, as the worker that has read it knows it. */
export interface Held {
  readonly worker: string
  readonly letter: string
  readonly entry: string
  readonly id: string
  readonly fence: bigint
}

export interface SweepOptions {
  letters?: readonly string[]
  /** How long a job of a side stream may stay unread. */
  graceMs?: number
  /** Default: that of the scene. */
  leaseMs?: number
  /** When it was sent. Default: now. */
  sentAtMs?: number
}

export class ScriptScene implements AsyncDisposable {
  readonly namespace: NamespaceUnderTest
  readonly #database: Database
  readonly #stop: () => Promise<void>
  #pair = ''
  #boot = ''
  #ids = 0

  private constructor(database: Database, stop: () => Promise<void>) {
    this.#database = database
    this.#stop = stop
    this.namespace = new NamespaceUnderTest(database, 'scene', BEGIN_MS)
  }

  /** A server of its own, opened, and one lease old: rescues are due. */
  static async open(scripts: Scripts = patchedScripts()): Promise<ScriptScene> {
    const redis = await startRedis()
    const scene = new ScriptScene(await Database.open(redis.url, 0, scripts), () => redis.stop())
    await scene.newLife()
    scene.pass(LEASE_MS)
    return scene
  }

  /** Identity of the present life of the server. */
  get pair(): string {
    return this.#pair
  }

  /** Begins anew with nothing. */
  async reset(): Promise<void> {
    await this.namespace.flush()
    this.namespace.nowMs = BEGIN_MS
    this.#boot = ''
    await this.newLife()
    this.pass(LEASE_MS)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#database.close()
    await this.#stop()
  }

  /** The server begins another life; a worker, which makes the queue's groups, or a producer is the first to connect. */
  async newLife(first: 'worker' | 'producer' = 'worker'): Promise<string> {
    this.#pair = randomUUID()
    this.#boot = await this.namespace.open(this.#pair, first)
    return this.#boot
  }

  /** A worker connects in the same life of the server. */
  async connectWorker(): Promise<void> {
    await this.namespace.open(this.#pair, 'worker')
  }

  /** Lets time pass; negative = the server's clock is set back. */
  pass(ms: number): void {
    this.namespace.nowMs += ms
  }

  /** Looks at everything, and checks what must hold at any instant. */
  async look(): Promise<Picture> {
    const picture = await this.namespace.look()
    checkPicture(picture)
    return picture
  }

  /** Where a job stands: `m`, `f`, `s`, `t<type>` with what follows of its entry left out, "delayed", "dead", "gate of <key>"; or "nowhere". */
  async whereabouts(id: string): Promise<string> {
    const [place = 'nowhere', ...more] = placesOf(await this.look()).get(id) ?? []
    return [place, ...more].map((name) => name.replace(/:\d+-\d+$/, '')).join(' and ')
  }

  /** Enqueues jobs in one script; their ids, or `=<id>` for duplicates. */
  async enqueue(...jobs: readonly SceneJob[]): Promise<string[]> {
    const flat = jobs.flatMap(({ type = 'x', key, in: delay, idempotency, big, blocks }) => {
      const id =
        key === undefined && delay === undefined && !big ? undefined : `g${String(this.#ids++).padStart(20, '0')}`
      const options = JSON.stringify({ i: id, k: key, b: blocks ? 1 : undefined, p: big ? 4 : undefined })
      const control = JSON.stringify({ i: id, k: key, in: delay, u: idempotency, ut: idempotency && 60_000, big })
      return [type, options === '{}' ? '' : options, 'null', control === '{}' ? '' : control]
    })
    const [, , ...places] = await this.namespace.run<string[]>('enqueue', { q: QUEUE, n: jobs.length }, flat)
    return places
  }

  async read(worker: string, letter = 'm', count = 1): Promise<Held[]> {
    const entries = await this.namespace.read(letter, `${worker}.1`, count)
    return entries.map(([entry, fields]) => {
      const { i = entry } = JSON.parse(fields[3] || '{}') as { i?: string }
      return { worker, letter, entry, id: i, fence: fenceOf(entry, this.#boot) }
    })
  }

  async readOne(worker: string, letter = 'm'): Promise<Held> {
    const [held] = await this.read(worker, letter)
    if (!held) throw new Error(`Nothing waits in ${letter}`)
    return held
  }

  /** Reports an outcome with a check of the owner; the attempts that were stale. */
  settle(held: Held, outcome: SettledOutcome, worker = held.worker): Promise<string[]> {
    const report = JSON.stringify({ s: held.letter, e: held.entry, i: held.id, ...outcome })
    return this.#settle({ q: QUEUE, w: worker, lists: [], m: 1 }, [report])
  }

  /** Reports plain completions of entries of one stream in one list; the attempts that were stale. */
  complete(...held: readonly Held[]): Promise<string[]> {
    const [first] = held
    const hasIds = first?.id !== first?.entry
    const lists = [[first?.letter, hasIds, false]]
    return this.#settle({ q: QUEUE, w: first?.worker, lists, m: 0 }, [completedText(held)])
  }

  async #settle(header: object, args: readonly string[]): Promise<string[]> {
    const [stale, failed] = await this.namespace.run<[string[], string[]]>('settle', header, args)
    if (failed.length > 0) throw new Error(`settle failed: ${failed.join(' ')}`)
    return stale
  }

  /** Their workers are stopped (or dead) until their leases have ended; another worker sweeps. */
  async rescue(...held: readonly Held[]): Promise<{ rescued: number; dead: number }> {
    await this.namespace.age(held.map(({ letter, entry, worker }) => ({ letter, entry, owner: `${worker}.1` })))
    return this.sweep()
  }

  async sweep({
    letters = ['m', 'f', 's', 'a'],
    graceMs,
    leaseMs = LEASE_MS,
    sentAtMs = this.namespace.nowMs,
  }: SweepOptions = {}): Promise<{ rescued: number; dead: number }> {
    const result = { rescued: 0, dead: 0 }
    for (const letter of letters) {
      const page = { q: QUEUE, s: letter, cursor: '0-0', limit: 100, consumer: 'r.1' }
      const settings = { lease: leaseMs, maxStalls: 3, grace: graceMs, at: sentAtMs, within: leaseMs / 4 }
      const [, rescued, dead] = await this.namespace.run<[string, number, number]>('rescue', { ...page, ...settings })
      result.rescued += rescued
      result.dead += dead
    }
    return result
  }

  async promote(): Promise<number> {
    const [moved] = await this.namespace.run<[number]>('promote', { q: QUEUE, limit: 100 })
    return moved
  }

  async move(to: 'cancel' | 'retry' | 'purge', id: string): Promise<string> {
    const [word] = await this.namespace.run<[string]>('move', { q: QUEUE, to, n: 1 }, [id])
    return word
  }
}

/** A section of the history: attempts that completed. */
export function completedText(held: readonly Held[]): string {
  const letter = held[0]?.letter ?? ''
  const head = historyHead({ letter, type: 'x', outcome: 'c', attempt: 1, keepMs: 1000, fromMs: 0 })
  return [head, ...held.map(({ entry, id }) => historyLine(entry, 0, 0, id === entry ? undefined : id))].join('\n')
}
