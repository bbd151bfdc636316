import { type Asked, asAccessError } from '../../redis/access.ts'
import { gateKey, GROUP, keyPrefix, largePayloadKey, queueKey, type StreamLetter, streamKey } from '../keys.ts'
import { asLayoutError, type NamespaceConnection } from '../namespace.ts'
import { loadScripts, type ScriptName } from '../scripts.ts'
import { readOptions, type StoredJob } from './job-view.ts'

/** Opens, or hands out, a connection on which the namespace was opened. */
export type OpenNamespace = () => Promise<NamespaceConnection>

/** A queue at one instant: its counters since the beginning, and what stands where. */
export interface QueueLook {
  readonly accepted: number
  readonly completed: number
  readonly cancelled: number
  readonly expired: number
  readonly purged: number
  readonly waiting: number
  readonly active: number
  readonly delayed: number
  readonly gated: number
  readonly dead: number
  /** How often it happened: dead letters made, attempts retried, snoozed, rescued, handed back, stale results, dead letters retried. */
  readonly died: number
  readonly retried: number
  readonly snoozed: number
  readonly rescued: number
  readonly released: number
  readonly stale: number
  readonly revived: number
  /** Acceptance of the oldest waiting job, ms; 0 = none waits. */
  readonly oldest: number
  readonly streams: Readonly<Record<StreamLetter, StreamLook>>
  readonly sides: readonly string[]
}

export interface StreamLook {
  readonly length: number
  readonly pending: number
  /** Id of the last entry that the group was given. */
  readonly delivered: string
}

export interface StreamJob extends StoredJob {
  readonly letter: StreamLetter
  readonly entry: string
  /** Whether its options name its id; without, its place is its id. */
  readonly hasGivenId: boolean
}

/** Where an entry stands. */
export interface EntryRef {
  readonly letter: StreamLetter
  readonly entry: string
}

export interface PendingEntry {
  readonly entry: string
  readonly consumer: string
  readonly idleMs: number
}

/** An id with its score in a sorted set. */
export interface Scored {
  readonly place: string
  readonly score: number
}

/** Where an id was found, in one atomic look. */
export interface Sighting {
  readonly where: string | undefined
  readonly record: string | undefined
  readonly laterMs: number | undefined
  readonly deadMs: number | undefined
  /** It stands in the main stream, at the place that is its id. */
  readonly isInMain: boolean
}

const COUNTERS = [
  'accepted',
  'completed',
  'cancelled',
  'expired',
  'purged',
  'died',
  'retried',
  'snoozed',
  'rescued',
  'released',
  'stale',
  'revived',
] as const

/** Reads what the scripts wrote: one method per question. The only reader of the queue's keys besides the workers' own services. */
export class QueueReader {
  readonly #open: OpenNamespace
  readonly #namespace: string

  constructor(namespace: string, open: OpenNamespace) {
    this.#namespace = namespace
    this.#open = open
  }

  get prefix(): string {
    return keyPrefix(this.#namespace)
  }

  /** Names of the queues that ever had a job or a worker, sorted. */
  async queues(): Promise<string[]> {
    return (await this.send<string[]>(['SMEMBERS', `${this.prefix}queues`])).toSorted()
  }

  /** Counts queues, all of them at one instant. */
  async look(queues: readonly string[]): Promise<{ nowMs: number; queues: Record<string, QueueLook> }> {
    const reply = await this.run<string>('count', [JSON.stringify({ queues })])
    const { now, queues: found } = JSON.parse(reply) as { now: number; queues: Record<string, Partial<QueueLook>> }
    const none = Object.fromEntries(COUNTERS.map((name) => [name, 0]))
    const looks = queues.map((queue) => {
      const { floor: _floor, acceptedAt: _acceptedAt, ...rest } = found[queue] as Record<string, unknown>
      return [queue, { sides: [], ...none, ...rest }]
    })
    return { nowMs: now, queues: Object.fromEntries(looks) as Record<string, QueueLook> }
  }

  /** Entries of a stream in order; `from` and `to` as XRANGE takes them. */
  async entries(queue: string, letter: StreamLetter, from: string, to: string, limit: number): Promise<StreamJob[]> {
    const found = await this.send<[string, string[]][]>([
      'XRANGE',
      streamKey(this.prefix, queue, letter),
      from,
      to,
      'COUNT',
      String(limit),
    ])
    return found.map(([entry, fields]) => readEntry(queue, letter, entry, fields))
  }

  /** Id of the last entry of a stream; undefined when it is empty. */
  async lastEntry(queue: string, letter: StreamLetter): Promise<string | undefined> {
    const [last] = await this.send<[string, string[]][]>([
      'XREVRANGE',
      streamKey(this.prefix, queue, letter),
      '+',
      '-',
      'COUNT',
      '1',
    ])
    return last?.[0]
  }

  /** Pending entries of a stream in order; none when nobody ever read from it. */
  async pending(queue: string, letter: StreamLetter, from: string, to: string, limit: number): Promise<PendingEntry[]> {
    try {
      const found = await this.send<[string, string, number, number][]>([
        'XPENDING',
        streamKey(this.prefix, queue, letter),
        GROUP,
        from,
        to,
        String(limit),
      ])
      return found.map(([entry, consumer, idle]) => ({ entry, consumer, idleMs: idle }))
    } catch (error) {
      if (error instanceof Error && error.message.startsWith('NOGROUP')) return []
      throw error
    }
  }

  /** Ids of delayed or dead jobs by their instant, from `fromMs` to `toMs`, `offset` of them left out. */
  async scored(
    queue: string,
    part: 'later' | 'dead',
    { fromMs, toMs, offset, limit }: { fromMs?: number; toMs?: number; offset: number; limit: number },
  ): Promise<Scored[]> {
    const range = [String(fromMs ?? '-inf'), String(toMs ?? '+inf'), 'BYSCORE', 'LIMIT', String(offset), String(limit)]
    const flat = await this.send<string[]>(['ZRANGE', queueKey(this.prefix, queue, part), ...range, 'WITHSCORES'])
    return pairs(flat).map(([place, score]) => ({ place, score: Number(score) }))
  }

  /** How many come before an id in the order of its set; undefined when it is not there any more. */
  async rank(queue: string, part: 'later' | 'dead', place: string): Promise<number | undefined> {
    return (await this.send<number | null>(['ZRANK', queueKey(this.prefix, queue, part), place])) ?? undefined
  }

  /** The instants at which these ids are due or died; undefined for those that are not in the set. */
  async scoresOf(queue: string, part: 'later' | 'dead', places: readonly string[]): Promise<(number | undefined)[]> {
    if (places.length === 0) return []
    const scores = await this.send<(string | null)[]>(['ZMSCORE', queueKey(this.prefix, queue, part), ...places])
    return scores.map((score) => (score === null ? undefined : Number(score)))
  }

  /** Fields of a hash, in no order. Done when the cursor is '0' again. A field may come twice while the hash grows. */
  async scan(
    queue: string,
    part: 'recs' | 'where' | 'slots',
    cursor: string,
    limit: number,
  ): Promise<[cursor: string, [string, string][]]> {
    const [next, flat] = await this.send<[string, string[]]>([
      'HSCAN',
      queueKey(this.prefix, queue, part),
      cursor,
      'COUNT',
      String(limit),
    ])
    return [next, pairs(flat)]
  }

  /** Values of a hash; undefined for fields that are not there. */
  async fields(
    queue: string,
    part: 'recs' | 'where' | 'slots',
    names: readonly string[],
  ): Promise<(string | undefined)[]> {
    if (names.length === 0) return []
    const values = await this.send<(string | null)[]>(['HMGET', queueKey(this.prefix, queue, part), ...names])
    return values.map((value) => value ?? undefined)
  }

  /** Ids that wait for a key, in order. */
  gate(queue: string, key: string, from: number, to: number): Promise<string[]> {
    return this.send<string[]>(['LRANGE', gateKey(this.prefix, queue, key), String(from), String(to)])
  }

  /** Who holds a key, and how many wait for it, at one instant. */
  async key(
    queue: string,
    key: string,
  ): Promise<{ holder: string | undefined; waiting: number; first: string | undefined }> {
    const gate = gateKey(this.prefix, queue, key)
    const [holder, waiting, first] = await this.atomically<[string | null, number, string | null]>([
      ['HGET', queueKey(this.prefix, queue, 'slots'), key],
      ['LLEN', gate],
      ['LINDEX', gate, '0'],
    ])
    return { holder: holder ?? undefined, waiting, first: first ?? undefined }
  }

  /** Looks for an id in every place where it could stand, at one instant. */
  async find(queue: string, place: string): Promise<Sighting> {
    const isEntry = /^\d+-\d+$/.test(place)
    const [where, record, later, dead, main] = await this.atomically<
      [string | null, string | null, string | null, string | null, unknown[]?]
    >([
      ['HGET', queueKey(this.prefix, queue, 'where'), place],
      ['HGET', queueKey(this.prefix, queue, 'recs'), place],
      ['ZSCORE', queueKey(this.prefix, queue, 'later'), place],
      ['ZSCORE', queueKey(this.prefix, queue, 'dead'), place],
      ...(isEntry ? [['XRANGE', streamKey(this.prefix, queue, 'm'), place, place]] : []),
    ])
    return {
      where: where ?? undefined,
      record: record ?? undefined,
      laterMs: later === null ? undefined : Number(later),
      deadMs: dead === null ? undefined : Number(dead),
      isInMain: main !== undefined && main.length > 0,
    }
  }

  async largePayload(queue: string, place: string): Promise<string | undefined> {
    return (await this.send<string | null>(['GET', largePayloadKey(this.prefix, queue, place)])) ?? undefined
  }

  /** Entries of the history, newest first, older than `before` ('+' = all). */
  async history(
    queue: string,
    before: string,
    limit: number,
  ): Promise<{ entry: string; lines: string; stale: string }[]> {
    const found = await this.send<[string, string[]][]>([
      'XREVRANGE',
      queueKey(this.prefix, queue, 'done'),
      before,
      '-',
      'COUNT',
      String(limit),
    ])
    return found.map(([entry, fields]) => {
      const named = Object.fromEntries(pairs(fields))
      return { entry, lines: named.b ?? '', stale: named.x ?? '' }
    })
  }

  /** All fields of one of the namespace's own hashes. */
  async hash(name: 'losses' | 'workers'): Promise<[string, string][]> {
    return pairs(await this.send<string[]>(['HGETALL', `${this.prefix}${name}`]))
  }

  /** When each worker gave its last sign of life, ms. */
  async workersSeen(): Promise<Map<string, number>> {
    const flat = await this.send<string[]>(['ZRANGE', `${this.prefix}workers:seen`, '0', '-1', 'WITHSCORES'])
    return new Map(pairs(flat).map(([id, at]) => [id, Number(at)]))
  }

  async serverMs(): Promise<number> {
    const [seconds, micros] = await this.send<[string, string]>(['TIME'])
    return Number(seconds) * 1000 + Math.floor(Number(micros) / 1000)
  }

  run<T>(script: ScriptName, args: readonly string[]): Promise<T> {
    const asked = { command: ['EVALSHA', this.prefix], script }
    return this.#withOpen(({ connection, prefix }) => connection.run<T>(loadScripts()[script], prefix, args), asked)
  }

  send<T>(command: readonly string[]): Promise<T> {
    return this.#withOpen(({ connection }) => connection.send<T>(command), { command })
  }

  /** Sends commands whose answers belong to one instant. */
  // They are handed over in one turn of the event loop, so that nothing of another caller comes between them.
  async atomically<T extends unknown[]>(commands: readonly (readonly string[])[]): Promise<T> {
    return this.#withOpen(async ({ connection }) => {
      const sent = [['MULTI'], ...commands, ['EXEC']].map((command) =>
        connection.send(command).catch((error: unknown) => {
          throw asAccessError(error, { command })
        }),
      )
      const replies = await Promise.all(sent)
      return replies.at(-1) as T
    })
  }

  async #withOpen<T>(ask: (open: NamespaceConnection) => Promise<T>, asked?: Asked): Promise<T> {
    const open = await this.#open()
    try {
      return await ask(open)
    } catch (error) {
      if (!isNamespaceGone(error)) throw asAccessError(asLayoutError(error), asked)
      // The server forgot everything since this connection was opened (FLUSHALL): a new one opens the namespace again.
      open.destroy()
      return ask(await this.#open())
    }
  }
}

// A queue without a group is no sign of it here: it may never have had a worker.
function isNamespaceGone(error: unknown): boolean {
  return error instanceof Error && error.message.includes('MOCALAYOUT none')
}

export function readEntry(queue: string, letter: StreamLetter, entry: string, fields: readonly string[]): StreamJob {
  const [, type = '', , optionsText = '', , payload = ''] = fields
  const options = readOptions(optionsText)
  return {
    queue,
    letter,
    entry,
    place: options.i ?? entry,
    hasGivenId: options.i !== undefined,
    type,
    options,
    payload,
  }
}

/** `where` of a job: the letter of its stream and its entry. */
export function parseWhere(where: string): EntryRef {
  const colon = where.lastIndexOf(':')
  return { letter: where.slice(0, colon) as StreamLetter, entry: where.slice(colon + 1) }
}

export function pairs(flat: readonly string[]): [string, string][] {
  const list: [string, string][] = []
  for (let index = 0; index + 1 < flat.length; index += 2) list.push([flat[index] as string, flat[index + 1] as string])
  return list
}
