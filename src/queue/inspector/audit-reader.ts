import { GROUP, gateKey, largePayloadKey, queueKey, streamKey } from '../keys.ts'
import { type EntryRef, pairs, type QueueReader, readEntry, type StreamJob } from './queue-reader.ts'

/** Everything about one job at one instant, also what should not be. */
export interface Situation {
  readonly where: string | undefined
  readonly record: string | undefined
  readonly laterMs: number | undefined
  readonly deadMs: number | undefined
  /** How often it stands among those that wait for the key that was asked about; more than two count as two. */
  readonly inGate: number
  /** Who holds that key. */
  readonly slotHolder: string | undefined
  readonly hasLargePayload: boolean
  /** The entries that were asked about, each as it stands. */
  readonly entries: readonly {
    readonly ref: EntryRef
    readonly job: StreamJob | undefined
    readonly isPending: boolean
  }[]
}

/** What an audit asks beyond what a view needs. Answers to lists of questions come in their order. */
export class AuditReader {
  readonly #reader: QueueReader

  constructor(reader: QueueReader) {
    this.#reader = reader
  }

  /** A page of all keys of the namespace, without its prefix. It scans the whole server. Done when the cursor is '0' again. */
  async scanKeys(cursor: string): Promise<[cursor: string, keys: string[]]> {
    const { prefix } = this.#reader
    const pattern = `${prefix.replaceAll(/[\\*?[\]]/g, String.raw`\$&`)}*`
    const [next, keys] = await this.#reader.send<[string, string[]]>([
      'SCAN',
      cursor,
      'MATCH',
      pattern,
      'COUNT',
      '1000',
    ])
    return [next, keys.map((key) => key.slice(prefix.length))]
  }

  /** A page of the ids of delayed or dead jobs, in no order. */
  async scanScored(
    queue: string,
    part: 'later' | 'dead',
    cursor: string,
    limit: number,
  ): Promise<[cursor: string, places: string[]]> {
    const key = queueKey(this.#reader.prefix, queue, part)
    const [next, flat] = await this.#reader.send<[string, string[]]>(['ZSCAN', key, cursor, 'COUNT', String(limit)])
    return [next, pairs(flat).map(([place]) => place)]
  }

  async haveRecords(queue: string, places: readonly string[]): Promise<boolean[]> {
    const key = queueKey(this.#reader.prefix, queue, 'recs')
    return this.#all(places, async (place) => (await this.#reader.send<number>(['HEXISTS', key, place])) === 1)
  }

  async haveLargePayloads(queue: string, places: readonly string[]): Promise<boolean[]> {
    return this.#all(places, async (place) => {
      const key = largePayloadKey(this.#reader.prefix, queue, place)
      return (await this.#reader.send<number>(['EXISTS', key])) === 1
    })
  }

  async entriesAt(queue: string, refs: readonly EntryRef[]): Promise<(StreamJob | undefined)[]> {
    return this.#all(refs, async ({ letter, entry }) => (await this.#reader.entries(queue, letter, entry, entry, 1))[0])
  }

  /** Looks at a job at one instant: wherever its id may stand, and at the given entries and key. */
  async situation(
    queue: string,
    place: string,
    refs: readonly EntryRef[],
    key: string | undefined,
  ): Promise<Situation> {
    const { prefix } = this.#reader
    const part = (name: 'where' | 'recs' | 'later' | 'dead' | 'slots') => queueKey(prefix, queue, name)
    const replies = await this.#reader.atomically<unknown[]>([
      ['HGET', part('where'), place],
      ['HGET', part('recs'), place],
      ['ZSCORE', part('later'), place],
      ['ZSCORE', part('dead'), place],
      ['LPOS', gateKey(prefix, queue, key ?? ''), place, 'COUNT', '2'],
      ['HGET', part('slots'), key ?? ''],
      ['EXISTS', largePayloadKey(prefix, queue, place)],
      ...refs.flatMap(({ letter, entry }) => {
        const stream = streamKey(prefix, queue, letter)
        return [
          ['XRANGE', stream, entry, entry],
          ['XPENDING', stream, GROUP, entry, entry, '1'],
        ]
      }),
    ])
    const [where, record, later, dead, gate, slot, payload, ...entries] = replies
    const text = (reply: unknown) => (typeof reply === 'string' ? reply : undefined)
    const number = (reply: unknown) => (reply === null || reply === undefined ? undefined : Number(reply))
    return {
      where: text(where),
      record: text(record),
      laterMs: number(later),
      deadMs: number(dead),
      inGate: key !== undefined && Array.isArray(gate) ? gate.length : 0,
      slotHolder: key === undefined ? undefined : text(slot),
      hasLargePayload: payload === 1,
      entries: refs.map((ref, index) => {
        const found = entries[index * 2] as [string, string[]][]
        const pending = entries[index * 2 + 1]
        const job = found[0] && readEntry(queue, ref.letter, found[0][0], found[0][1])
        return { ref, job, isPending: Array.isArray(pending) && pending.length > 0 }
      }),
    }
  }

  // On one connection: the server answers them one after another, without a round trip for each.
  #all<Question, Answer>(
    questions: readonly Question[],
    ask: (question: Question) => Promise<Answer>,
  ): Promise<Answer[]> {
    return Promise.all(questions.map(ask))
  }
}
